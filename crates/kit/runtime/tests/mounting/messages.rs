//! What a handler logs of what a client has sent: it directs no screen and no reader, in either format.

use serde_json::Value;

use crate::support;

const DANGEROUS: [char; 14] = [
    '\n', '\u{1b}', '\u{7f}', '\u{85}', '\u{9b}', '\u{61c}', '\u{200e}', '\u{200f}', '\u{2028}',
    '\u{2029}', '\u{202e}', '\u{2066}', '\u{2069}', '\u{feff}',
];

#[test]
fn what_a_client_sends_is_escaped_in_messages() {
    for format in ["text", "json"] {
        let service = support::start("fixture", &[("BERTH__LOG__FORMAT", format)]);
        for c in DANGEROUS {
            let target = c
                .to_string()
                .bytes()
                .fold("/plain/log?tag=a".to_owned(), |target, byte| {
                    target + &format!("%{byte:02X}")
                });
            let answer = service.get(&(target + "b"));
            assert_eq!(answer.status, 204, "{c:?}");
        }
        let log = service.stop();
        let is_dangerous = |c: char| c.is_control() || DANGEROUS.contains(&c);
        for line in &log {
            assert!(!line.contains(is_dangerous), "{line:?}");
        }
        for c in DANGEROUS {
            let told = log.iter().any(|line| match format {
                "json" => {
                    let line: Value = serde_json::from_str(line).unwrap();
                    line["msg"] == format!("before a{c}b")
                }
                _ => line.contains(&format!("before a{}b", c.escape_default())),
            });
            assert!(told, "{c:?} in {log:#?}");
        }
    }
}
