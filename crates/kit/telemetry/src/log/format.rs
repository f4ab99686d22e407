//! A log record as a line for people, or as one for machines.

use std::{
    fmt::{self, Write as _},
    io::{self, Write as _},
    time::SystemTime,
};

use berth_kit_http::RequestContext;
use env_logger::fmt::Formatter;
use humantime::format_rfc3339_micros;
use log::{
    Record,
    kv::{self, Key, Value, VisitSource, VisitValue},
};
use serde::{Serialize, Serializer, ser::SerializeMap};

/// `2026-01-02T03:04:05.678901Z INFO  berth::lifecycle: listening`.
pub(super) fn text(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let time = format_rfc3339_micros(SystemTime::now());
    write!(out, "{time} {:<5} {}: ", record.level(), record.target())?;
    write!(out, "{}", EscapedArgs(record.args()))?;
    RequestContext::with_current(|request| {
        let Some(request) = request else {
            return Ok(());
        };
        write!(out, " | request_id={}", request.id())?;
        if let Some(id) = request.trace_id() {
            write!(out, " trace_id={id}")?;
        }
        write!(out, " route={}", request.route())
    })?;
    writeln!(out)
}

/// One JSON object a line: `ts`, `level`, `target`, `msg`, those of the request, then the record's own fields.
pub(super) fn json(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::new(&mut *out);
    let mut line = serializer.serialize_map(None)?;
    let time = format_rfc3339_micros(SystemTime::now());
    line.serialize_entry("ts", &Text(time))?;
    line.serialize_entry("level", record.level().as_str())?;
    line.serialize_entry("target", record.target())?;
    line.serialize_entry("msg", &Text(record.args()))?;
    RequestContext::with_current(|request| {
        let Some(request) = request else {
            return Ok(());
        };
        line.serialize_entry("request_id", request.id())?;
        if let Some(id) = request.trace_id() {
            line.serialize_entry("trace_id", id)?;
        }
        line.serialize_entry("route", request.route())
    })?;
    record
        .key_values()
        .visit(&mut Fields(&mut line))
        .map_err(io::Error::other)?;
    line.end()?;
    writeln!(out)
}

/// What can be displayed, as a JSON string.
struct Text<T>(T);

impl<T: fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

struct Fields<'a, M>(&'a mut M);

impl<'kvs, M: SerializeMap> VisitSource<'kvs> for Fields<'_, M> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        value.visit(&mut Field(self.0, key.as_str()))
    }
}

/// One field, once its value's type is known.
struct Field<'a, M>(&'a mut M, &'a str);

impl<M: SerializeMap> Field<'_, M> {
    fn put(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), kv::Error> {
        self.0
            .serialize_entry(self.1, value)
            .map_err(|_| kv::Error::msg("a field cannot be written"))
    }
}

impl<M: SerializeMap> VisitValue<'_> for Field<'_, M> {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), kv::Error> {
        self.put(&Text(value))
    }

    fn visit_null(&mut self) -> Result<(), kv::Error> {
        self.put(&())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        self.put(&value)
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        self.put(&value)
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        self.put(&value)
    }

    fn visit_str(&mut self, value: &str) -> Result<(), kv::Error> {
        self.put(value)
    }
}

/// Text with everything escaped that could end a line, move a cursor or turn the reading direction.
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaping(f).write_str(self.0)
    }
}

/// The same for a message that is still in parts.
struct EscapedArgs<'a>(&'a fmt::Arguments<'a>);

impl fmt::Display for EscapedArgs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaping(f).write_fmt(*self.0)
    }
}

struct Escaping<'a, 'f>(&'a mut fmt::Formatter<'f>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_unsafe(*c)) {
            let (before, from) = rest.split_at(at);
            write!(self.0, "{before}{}", c.escape_default())?;
            rest = &from[c.len_utf8()..];
        }
        self.0.write_str(rest)
    }
}

fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{61c}'
        )
        || ('\u{202a}'..='\u{202e}').contains(&c)
        || ('\u{2066}'..='\u{2069}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_can_end_a_line_or_move_a_cursor() {
        let forged = "a\n2026-01-01 ERROR b\r\u{1b}[2J\u{85}\u{2028}\u{202e}c\0é✓";
        assert_eq!(
            Escaped(forged).to_string(),
            "a\\n2026-01-01 ERROR b\\r\\u{1b}[2J\\u{85}\\u{2028}\\u{202e}c\\u{0}é✓"
        );
    }
}
