//! What each fuzz target does with its bytes: it asks for the properties that the tests of the
//! crates ask for, of which there is one text.

use std::cell::OnceCell;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

// The tests of a crate are no library, so what they ask is taken in by path.
#[path = "../../kit/http/tests/properties/laws.rs"]
mod http;

#[path = "../../kit/telemetry/tests/properties/laws.rs"]
mod telemetry;

#[path = "../../kit/settings/tests/properties/laws.rs"]
mod settings;

thread_local! {
    static DESK: OnceCell<settings::Desk> = const { OnceCell::new() };
}

fn at_desk(ask: impl FnOnce(&settings::Desk)) {
    DESK.with(|desk| ask(desk.get_or_init(settings::Desk::new)));
}

/// A query string; and pairs of names and values, one a line, which are encoded and read again.
pub fn query(text: &str) {
    http::query(text);
    let pairs: Vec<_> = text
        .lines()
        .map(|line| line.split_once(' ').unwrap_or((line, "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut encoded = url::form_urlencoded::Serializer::new(String::new());
    http::query_round_trip(&encoded.extend_pairs(&pairs).finish(), &pairs);
}

/// A text that may be a duration; and a duration, of the first bytes.
pub fn duration(text: &str) {
    http::duration_text(text);
    if let Some((secs, rest)) = text.as_bytes().split_first_chunk()
        && let Some((nanos, _)) = rest.split_first_chunk()
    {
        let nanos = u32::from_le_bytes(*nanos) % 1_000_000_000;
        http::duration_value(std::time::Duration::new(u64::from_le_bytes(*secs), nanos));
    }
}

/// Headers of one name, one a line: as request ids and as traceparents.
pub fn correlation(data: &[u8]) {
    let values: Vec<&[u8]> = data.split(|byte| *byte == b'\n').take(3).collect();
    http::request_id(&values);
    http::traceparent(&values);
}

/// What a client sends on a connection, after where it is cut.
pub fn transport_adapter(data: &[u8]) {
    if let Some((cuts, bytes)) = data.split_first_chunk::<3>() {
        let _ = berth_kit_transport::laws::connection(bytes, &cuts.map(usize::from));
    }
}

/// A settings file in TOML.
pub fn settings_toml(data: &[u8]) {
    at_desk(|desk| desk.file("a.toml", data));
}

/// A settings file in YAML.
pub fn settings_yaml(data: &[u8]) {
    at_desk(|desk| desk.file("a.yaml", data));
}

/// Variables, `NAME=value` and a NUL byte each, as in `/proc/PID/environ`.
pub fn settings_environment(data: &[u8]) {
    let variables: Vec<_> = data
        .split(|byte| *byte == 0)
        .take(6)
        .filter_map(|variable| {
            let at = variable.iter().position(|byte| *byte == b'=')?;
            let part = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
            Some((part(&variable[..at]), part(&variable[at + 1..])))
        })
        .collect();
    at_desk(|desk| desk.environment(&variables));
}

/// Text on its way into the log.
pub fn log_escaping(text: &str) {
    telemetry::escaped(text);
}
