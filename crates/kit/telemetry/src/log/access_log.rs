//! One log line per request.
//!
//! These lines do not go through `log`, because they are on the path of every request: as a record
//! with fields, a line took more than half the time of the rest of it. They are put together in a
//! buffer that the worker keeps, and handed to the writer that all other lines go to. What the log's
//! filter has to say of the target `access` holds for them as well; see [`AccessLines`].

use std::{
    cell::RefCell,
    io::Write as _,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, SystemTime},
};

use actix_web::{
    dev::ServiceRequest,
    http::{Method, header},
};
use berth_kit_http::{Observe, Outcome, RequestContext, RouteId, RouteTable, TraceId, UNMATCHED};
use humantime::format_rfc3339_micros;
use log::Level;

use super::{
    AccessLines, Escaped, Format,
    access_lines::push_number,
    escape::{CUT, MAX_FIELD_BYTES, push_cut, push_cut_bytes, push_json},
};

/// What a worker keeps of each of its buffers for the next request, in bytes.
const KEPT: usize = 1024;

/// The routes that machines ask again and again: those of the probes and of the scrape.
#[derive(Debug, Default)]
pub struct Probes(Vec<RouteId>);

impl Probes {
    /// The routes of `table` that have these patterns.
    pub fn of<'a>(table: &RouteTable, patterns: impl IntoIterator<Item = &'a str>) -> Self {
        let routes = patterns.into_iter();
        Self(
            routes
                .filter_map(|pattern| table.by_pattern(pattern))
                .collect(),
        )
    }

    /// Whether this is one that tells nothing new.
    fn succeeded(&self, outcome: &Outcome) -> bool {
        self.0.contains(&outcome.route)
            && outcome.complete
            && outcome.status.is_some_and(|status| status.is_success())
    }
}

/// Gives every request, when it is over, a line in the log.
pub struct AccessLog {
    lines: Arc<AccessLines>,
    probes: Probes,
    line: RefCell<Vec<u8>>,
}

impl AccessLog {
    /// The log of one worker.
    #[must_use]
    pub fn new(lines: Arc<AccessLines>, probes: Probes) -> Self {
        Self {
            lines,
            probes,
            line: RefCell::default(),
        }
    }
}

/// What the line needs from the request, which is gone by the time it is written.
#[derive(Default)]
pub struct Record {
    /// Whether there is to be a line, and so whether the rest is that of this request.
    wanted: bool,
    method: Method,
    path: String,
    user_agent: Option<String>,
}

impl Observe for AccessLog {
    type Record = Record;

    fn begin(&self, record: &mut Record, req: &ServiceRequest) {
        record.wanted = self.lines.wanted();
        if record.wanted {
            record.method.clone_from(req.method());
            record.path.clear();
            push_cut(&mut record.path, req.uri().path());
            match req.headers().get(header::USER_AGENT) {
                Some(value) => {
                    let text = record.user_agent.get_or_insert_default();
                    text.clear();
                    push_cut_bytes(text, value.as_bytes());
                }
                None => record.user_agent = None,
            }
        }
    }

    fn end(&self, record: &mut Record, request: &RequestContext, outcome: &Outcome) {
        if !record.wanted {
            return;
        }
        let level = if self.probes.succeeded(outcome) {
            self.lines.level_of_probes()
        } else {
            Some(Level::Info)
        };
        let Some(level) = level else {
            return;
        };
        let mut line = self.line.borrow_mut();
        let known = Known {
            request: request.request_id().as_bytes(),
            trace: request.trace().map(TraceId::as_bytes),
            route: request.route(),
            client: request.client_ip(),
        };
        put(&self.lines, &mut line, level, record, &known, outcome);
        line.shrink_to(KEPT);
        record.path.shrink_to(KEPT);
        if let Some(user_agent) = &mut record.user_agent {
            user_agent.shrink_to(KEPT);
        }
    }
}

/// What is known of the request beside its record.
struct Known<'a> {
    request: &'a [u8],
    trace: Option<&'a [u8]>,
    route: &'a str,
    client: Option<IpAddr>,
}

fn put(
    lines: &AccessLines,
    line: &mut Vec<u8>,
    level: Level,
    record: &Record,
    known: &Known<'_>,
    outcome: &Outcome,
) {
    lines.put(line, |format, line| match format {
        Format::Text => text(line, level, record, known, outcome),
        Format::Json => json(line, level, record, known, outcome),
    });
    line.clear();
}

/// The line of what has not become a request: no method or path is known of it.
pub fn refused(lines: &AccessLines, id: &str, peer: SocketAddr, outcome: &Outcome) {
    if lines.wanted() {
        let record = Record {
            wanted: true,
            method: Method::from_bytes(b"-").unwrap_or_default(),
            path: "-".to_owned(),
            ..Record::default()
        };
        let known = Known {
            request: id.as_bytes(),
            trace: None,
            route: UNMATCHED,
            client: Some(peer.ip()),
        };
        put(
            lines,
            &mut Vec::new(),
            Level::Info,
            &record,
            &known,
            outcome,
        );
    }
}

/// The line for people: `[GET] /api/v1/hello 172.17.0.1 | Status: 200 | Latency: 500µs`.
fn text(line: &mut Vec<u8>, level: Level, record: &Record, known: &Known<'_>, outcome: &Outcome) {
    display(line, &format_rfc3339_micros(SystemTime::now()));
    line.extend_from_slice(if level == Level::Debug {
        b" DEBUG ["
    } else {
        b" INFO  ["
    });
    push_method(line, &record.method);
    line.extend_from_slice(b"] ");
    if record.path.bytes().all(|byte| byte.is_ascii_graphic()) {
        line.extend_from_slice(record.path.as_bytes());
    } else {
        display(line, &Escaped(&record.path));
    }
    line.push(b' ');
    match known.client {
        Some(ip) => push_ip(line, ip),
        None => line.push(b'-'),
    }
    line.extend_from_slice(b" | Status: ");
    push_number(line, outcome.status_code().into());
    line.extend_from_slice(b" | Latency: ");
    let micros = micros(outcome);
    if micros < 1000 {
        push_number(line, micros);
        line.extend_from_slice("µs".as_bytes());
    } else {
        display(line, &format_args!("{:?}", Duration::from_micros(micros)));
    }
    if !outcome.complete {
        line.extend_from_slice(b" | aborted");
    }
    line.push(b'\n');
}

/// A client may make up a method, of any length. It has no character that would have to be escaped.
fn push_method(line: &mut Vec<u8>, method: &Method) {
    let method = method.as_str();
    match method.as_bytes().get(..MAX_FIELD_BYTES) {
        Some(begin) if begin.len() < method.len() => {
            line.extend_from_slice(begin);
            line.extend_from_slice(CUT.as_bytes());
        }
        _ => line.extend_from_slice(method.as_bytes()),
    }
}

/// The line for machines.
fn json(line: &mut Vec<u8>, level: Level, record: &Record, known: &Known<'_>, outcome: &Outcome) {
    line.extend_from_slice(b"{\"ts\":\"");
    display(line, &format_rfc3339_micros(SystemTime::now()));
    line.extend_from_slice(b"\",\"level\":\"");
    line.extend_from_slice(level.as_str().as_bytes());
    line.extend_from_slice(b"\",\"target\":\"access\",\"msg\":\"request\",\"method\":\"");
    push_method(line, &record.method);
    // A method and an id have no character that a JSON string would have to escape.
    line.extend_from_slice(b"\",\"route\":");
    push_json(line, known.route);
    line.extend_from_slice(b",\"path\":");
    push_json(line, &record.path);
    line.extend_from_slice(b",\"status\":");
    push_number(line, outcome.status_code().into());
    line.extend_from_slice(b",\"latency_us\":");
    push_number(line, micros(outcome));
    line.extend_from_slice(b",\"bytes\":");
    push_number(line, outcome.bytes);
    line.extend_from_slice(b",\"client_ip\":");
    match known.client {
        Some(ip) => {
            line.push(b'"');
            push_ip(line, ip);
            line.push(b'"');
        }
        None => line.extend_from_slice(b"null"),
    }
    line.extend_from_slice(b",\"request_id\":\"");
    line.extend_from_slice(known.request);
    line.extend_from_slice(b"\",\"trace_id\":");
    match known.trace {
        Some(id) => {
            line.push(b'"');
            line.extend_from_slice(id);
            line.push(b'"');
        }
        None => line.extend_from_slice(b"null"),
    }
    line.extend_from_slice(b",\"user_agent\":");
    match &record.user_agent {
        Some(text) => push_json(line, text),
        None => line.extend_from_slice(b"null"),
    }
    line.extend_from_slice(if outcome.complete {
        b",\"aborted\":false}\n".as_slice()
    } else {
        b",\"aborted\":true}\n"
    });
}

fn micros(outcome: &Outcome) -> u64 {
    u64::try_from(outcome.elapsed.as_micros()).unwrap_or(u64::MAX)
}

fn push_ip(line: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => {
            let [first, rest @ ..] = ip.octets();
            push_number(line, first.into());
            for octet in rest {
                line.push(b'.');
                push_number(line, octet.into());
            }
        }
        IpAddr::V6(ip) => display(line, &ip),
    }
}

fn display(line: &mut Vec<u8>, what: &dyn std::fmt::Display) {
    // A vector takes everything, and what is displayed here does not fail.
    let _ = write!(line, "{what}");
}
