//! A log record as a line for people, or as one for machines.

use std::{
    fmt::{self, Write as _},
    io::{self, Write as _},
    time::SystemTime,
};

use env_logger::fmt::Formatter;
use humantime::format_rfc3339_micros;
use log::{
    Record,
    kv::{self, Key, Value, VisitSource, VisitValue},
};
use serde_json::{Map, Value as Json};

use super::ACCESS;

/// `2026-01-02T03:04:05.678901Z INFO  berth::lifecycle: listening`; access lines without target.
pub(super) fn text(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let time = format_rfc3339_micros(SystemTime::now());
    write!(out, "{time} {:<5} ", record.level())?;
    if record.target() != ACCESS {
        write!(out, "{}: ", record.target())?;
    }
    writeln!(out, "{}", EscapedArgs(record.args()))
}

/// One JSON object a line: `ts`, `level`, `target`, `msg`, then the record's own fields.
pub(super) fn json(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    // An access line says everything in its fields.
    let msg = if record.target() == ACCESS {
        "request".to_owned()
    } else {
        record.args().to_string()
    };
    let time = format_rfc3339_micros(SystemTime::now()).to_string();
    let mut object = Map::new();
    object.insert("ts".to_owned(), time.into());
    object.insert("level".to_owned(), record.level().as_str().into());
    object.insert("target".to_owned(), record.target().into());
    object.insert("msg".to_owned(), msg.into());
    record
        .key_values()
        .visit(&mut Fields(&mut object))
        .map_err(io::Error::other)?;
    serde_json::to_writer(&mut *out, &object)?;
    writeln!(out)
}

struct Fields<'a>(&'a mut Map<String, Json>);

impl<'kvs> VisitSource<'kvs> for Fields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        let mut field = Field(Json::Null);
        value.visit(&mut field)?;
        self.0.insert(key.as_str().to_owned(), field.0);
        Ok(())
    }
}

/// One field's value; null where nothing is visited.
struct Field(Json);

impl VisitValue<'_> for Field {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), kv::Error> {
        self.0 = value.to_string().into();
        Ok(())
    }

    fn visit_null(&mut self) -> Result<(), kv::Error> {
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        self.0 = value.into();
        Ok(())
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        self.0 = value.into();
        Ok(())
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        self.0 = value.into();
        Ok(())
    }

    fn visit_str(&mut self, value: &str) -> Result<(), kv::Error> {
        self.0 = value.into();
        Ok(())
    }
}

/// Text with everything escaped that could end a line, move a cursor or turn the reading direction.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

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
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}')
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
