//! What a client sends is bounded in the log, and cannot change how it is read.

use serde_json::Value;

use crate::process::Berth;

/// Longer than any line has a reason to be, and shorter than what Docker cuts in two.
const LONGEST_LINE: usize = 10 * 1024;

const CUT: &str = "…[cut]";

/// What a terminal, a viewer or a shipper of logs could take for more than text.
const DANGEROUS: [char; 12] = [
    '\u{7f}', '\u{85}', '\u{9b}', '\u{61c}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}',
    '\u{202e}', '\u{2066}', '\u{2069}', '\u{feff}',
];

fn is_dangerous(c: char) -> bool {
    c.is_control() || DANGEROUS.contains(&c)
}

#[test]
fn every_field_that_a_client_fills_is_cut_with_a_mark() {
    for format in ["json", "text"] {
        let server = Berth::start(&[("BERTH__LOG__FORMAT", format)]);
        let many = |text: &str| text.repeat(60_000 / text.len());
        for header in [
            format!("User-Agent: {}", many("a")),
            // Each of these bytes becomes three, and a quote two.
            format!("User-Agent: {}", many("\"\u{85}\t")),
            format!("Referer: {}", many("r")),
            format!("X-Request-Id: {}", many("i")),
            format!("Traceparent: 00-{}", many("4")),
        ] {
            let mut client = server.client();
            let answer = client.request("GET", "/api/v1/hello", &format!("{header}\r\n"));
            assert_eq!(answer.status, 200);
        }
        let path = format!("/{}?{}", many("p")[..4000].to_owned(), "q=1".repeat(400));
        assert_eq!(server.get(&path).status, 404);
        // A method that nobody knows, as long as a head may be.
        let answer = server.client().request(&many("M"), "/api/v1/hello", "");
        assert_eq!(answer.status, 405);

        let log = server.stop();
        let cut = log.iter().filter(|line| line.contains(CUT)).count();
        assert_eq!(cut, if format == "json" { 4 } else { 2 }, "{log:#?}");
        for line in &log {
            assert!(line.len() < LONGEST_LINE, "{} bytes: {line}", line.len());
            assert!(!line.contains("q="), "{line}");
            if format == "json" {
                let line: Value = serde_json::from_str(line).unwrap();
                for (name, value) in line.as_object().unwrap() {
                    let length = value.as_str().unwrap_or_default().len();
                    assert!(length <= 3 * 1024 + CUT.len(), "{name}: {line}");
                }
            }
        }
    }
}

#[test]
fn what_is_short_enough_is_logged_whole() {
    let server = Berth::start(&[("BERTH__LOG__FORMAT", "json")]);
    let agent = "a".repeat(1024);
    server
        .client()
        .request("GET", "/api/v1/hello", &format!("User-Agent: {agent}\r\n"));
    let log = server.stop();
    let whole = format!("\"user_agent\":\"{agent}\"");
    assert!(log.iter().any(|line| line.contains(&whole)), "{log:#?}");
}

#[test]
fn no_format_passes_what_directs_a_screen_or_a_reader() {
    for format in ["json", "text"] {
        let server = Berth::debug(&[("BERTH__LOG__FORMAT", format)]);
        for c in DANGEROUS {
            // DEL is none of HTTP's; the others may stand in a header.
            if c != '\u{7f}' {
                let header = format!("User-Agent: a{c}b\r\n");
                server.client().request("GET", "/api/v1/hello", &header);
            }
        }
        let log = server.stop();
        for line in &log {
            assert!(!line.contains(is_dangerous), "{line:?}");
        }
        if format == "json" {
            for c in DANGEROUS.into_iter().skip(1) {
                let escaped = format!("\"user_agent\":\"a\\u{:04x}b\"", u32::from(c));
                let found = log.iter().find(|line| line.contains(&escaped));
                let line = found.unwrap_or_else(|| panic!("{escaped} in {log:#?}"));
                let line: Value = serde_json::from_str(line).unwrap();
                assert_eq!(line["user_agent"], format!("a{c}b"));
            }
        }
    }
}
