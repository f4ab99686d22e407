//! A log record as a line for people, or as one for machines.

use std::{
    fmt,
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

use super::escape::{Cut, EscapedParts, json_serializer};

/// `2026-01-02T03:04:05.678901Z INFO  berth::lifecycle: listening`.
pub(super) fn text(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let time = format_rfc3339_micros(SystemTime::now());
    write!(out, "{time} {:<5} {}: ", record.level(), record.target())?;
    write!(out, "{}", EscapedParts(Cut(record.args())))?;
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
    let mut serializer = json_serializer(&mut *out);
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

/// What can be displayed, as a JSON string, cut where it is too long.
struct Text<T>(T);

impl<T: fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Cut(&self.0))
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
        self.put(&Text(value))
    }
}
