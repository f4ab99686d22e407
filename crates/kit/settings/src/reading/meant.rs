//! What was probably meant by a word that is not known.

/// The known key that was probably meant: a slip of two letters away, or the name without its
/// section.
pub(crate) fn nearest<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    let key = key.replace('"', "").to_ascii_lowercase();
    if key.len() > 64 {
        return None;
    }
    let (far, near) = known
        .iter()
        .map(|known| (distance(known, &key), *known))
        .min()?;
    let without_section = || {
        known
            .iter()
            .copied()
            .find(|known| known.split_once('.').is_some_and(|(_, name)| name == key))
    };
    if far <= 2 {
        Some(near)
    } else {
        without_section()
    }
}

/// Levenshtein's: how many bytes to insert, delete or replace.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_probably_meant() {
        let known = ["app.name", "server.port", "shutdown.timeout", "log.format"];
        for (key, meant) in [
            ("server.prot", Some("server.port")),
            ("servr.port", Some("server.port")),
            ("Server.Port", Some("server.port")),
            ("\"server.port\"", Some("server.port")),
            ("timeout", Some("shutdown.timeout")),
            ("app.nam", Some("app.name")),
            ("database.url", None),
            ("", None),
        ] {
            assert_eq!(nearest(key, &known), meant, "{key}");
        }
        assert_eq!(nearest(&"x".repeat(1 << 20), &known), None);
        assert_eq!(nearest("server.port", &[]), None);
    }

    #[test]
    fn distance_counts_edits() {
        for (a, b, edits) in [
            ("", "", 0),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("ab", "ba", 2),
        ] {
            assert_eq!(distance(a, b), edits, "{a} {b}");
            assert_eq!(distance(b, a), edits, "{b} {a}");
        }
    }
}
