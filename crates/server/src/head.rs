//! The head of a request, as far as it has come before actix has it.

/// A longer head than this is actix's to refuse, in bytes.
const MAX: usize = 16 * 1024;

/// What nearly every head ends with.
const END: &[u8] = b"\r\n\r\n";

/// The beginning of a head.
#[derive(Debug, Default)]
pub(crate) struct Head {
    bytes: Vec<u8>,
    end: End,
}

/// Whether there is more to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    Half,
    /// It has come to its end, and perhaps more with it.
    Whole,
    /// It is longer than a head should be, or none at all. actix says so at once, or reads on.
    Refused,
}

impl Head {
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Progress {
        self.bytes.extend_from_slice(bytes);
        if self.end.is_in(bytes) {
            Progress::Whole
        } else if self.bytes.len() > MAX || !can_be_http(&self.bytes) {
            Progress::Refused
        } else {
            Progress::Half
        }
    }

    /// What has come, and how far it is from the end.
    pub(crate) fn into_parts(self) -> (Vec<u8>, End) {
        (self.bytes, self.end)
    }
}

/// Whether a method can begin like this. TLS does not.
fn can_be_http(head: &[u8]) -> bool {
    let mut bytes = head.iter().skip_while(|byte| matches!(byte, b'\r' | b'\n'));
    bytes.next().is_none_or(u8::is_ascii_alphabetic)
}

/// Finds the empty line that ends a head, in pieces as they come. Lines end with CR LF, or with LF
/// alone, which actix takes too; empty ones before the head belong to it.
#[derive(Debug, Default)]
pub(crate) struct End {
    /// Something has come that is not an empty line.
    begun: bool,
    /// Nothing has come since the last LF, or only a CR.
    at_line: bool,
}

impl End {
    pub(crate) fn is_in(&mut self, bytes: &[u8]) -> bool {
        // Nearly every head comes whole.
        if begins(bytes) && ends(bytes) {
            return true;
        }
        for byte in bytes {
            match byte {
                b'\n' if self.at_line && self.begun => return true,
                b'\n' => self.at_line = true,
                b'\r' => {}
                _ => {
                    self.begun = true;
                    self.at_line = false;
                }
            }
        }
        false
    }
}

/// Whether this begins with a line that is not empty.
pub(crate) fn begins(bytes: &[u8]) -> bool {
    bytes
        .first()
        .is_some_and(|byte| !matches!(byte, b'\r' | b'\n'))
}

/// Whether nothing follows the end of a head.
pub(crate) fn ends(bytes: &[u8]) -> bool {
    bytes.ends_with(END)
}

#[cfg(test)]
mod tests {
    use super::{End, Head, Progress};

    #[test]
    fn a_head_ends_with_an_empty_line() {
        for (pieces, ends) in [
            (vec!["GET / HTTP/1.1\r\nHost: t\r\n\r\n"], true),
            (vec!["GET / HTTP/1.1\nHost: t\n\n"], true),
            (vec!["GET / HTTP/1.1\r\nHost: t\r\n\r\nbody"], true),
            (vec!["GET / HTTP/1.1\r", "\n", "\r", "\n"], true),
            (vec!["GET / HTTP/1.1\r\n", "Host: t\r\n"], false),
            (vec!["\r\n\r\n"], false),
            (vec!["\n\n", "GET / HTTP/1.1\r\n"], false),
            (vec!["\r\n\r\nGET / HTTP/1.1\r\n", "\r\n"], true),
            (vec!["\r\n", "GET / HTTP/1.1\r\n\r\n"], true),
            (vec!["GET / HTTP/1.1\r\n", "\r"], false),
            (vec!["\r"], false),
            (vec![""], false),
        ] {
            let mut end = End::default();
            let found = pieces.iter().any(|piece| end.is_in(piece.as_bytes()));
            assert_eq!(found, ends, "{pieces:?}");
        }
    }

    #[test]
    fn what_cannot_become_a_head_is_not_waited_for() {
        let long = "a".repeat(17_000);
        for (pieces, progress) in [
            (vec!["GET / HT"], Progress::Half),
            (vec!["\r\n", "\r\n"], Progress::Half),
            (vec!["GET / HTTP/1.1\r\n", "\r\n"], Progress::Whole),
            (vec!["\x16\x03\x01"], Progress::Refused),
            (vec!["\r\n", "\x16"], Progress::Refused),
            (vec!["GET /", &long], Progress::Refused),
        ] {
            let mut head = Head::default();
            let last = pieces
                .iter()
                .map(|piece| head.push(piece.as_bytes()))
                .last();
            assert_eq!(last, Some(progress), "{pieces:?}");
            assert_eq!(head.into_parts().0, pieces.concat().as_bytes());
        }
    }
}
