use super::super::*;

/// Knuth's MMIX: the same garbage every time.
struct Garbage(u64);

impl Garbage {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn text(&mut self) -> String {
        const WORDS: [&str; 52] = [
            "server",
            "port",
            "app",
            "name",
            "shutdown",
            "timeout",
            ".",
            "=",
            " = ",
            ":",
            ": ",
            "- ",
            "? ",
            "\n",
            "\n  ",
            "\n[",
            "]\n",
            "[",
            "]",
            "[[",
            "]]",
            "{",
            "}",
            ",",
            "#",
            " #",
            "'",
            "\"",
            "\"\"\"",
            "'''",
            "\\",
            "\\u",
            "&a",
            "*a",
            "!",
            "!!int",
            "|\n",
            ">",
            "---\n",
            "...",
            "%",
            "~",
            "1",
            "-1",
            "1e999",
            ".inf",
            "99999999999999999999",
            "5s",
            "true",
            "\t",
            "\r",
            "é",
        ];
        (0..self.below(40))
            .map(|_| WORDS[self.below(WORDS.len())])
            .collect()
    }
}

fn survives(result: Result<Loaded, Error>) {
    if let Err(error) = result {
        let text = error.to_string();
        let Error::Invalid(faults) = error else {
            panic!("{text}")
        };
        assert_eq!(text.lines().count(), faults.len() + 1, "{text}");
        assert!(
            !text.contains(|c: char| c.is_control() && c != '\n'),
            "{text:?}"
        );
    }
}

#[test]
fn garbage_in_files_and_variables() {
    let mut garbage = Garbage(1);
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..1000 {
        for name in ["a.toml", "a.yaml"] {
            let path = directory.path().join(name);
            fs::write(&path, garbage.text()).unwrap();
            let (key, ..) = KEYS[garbage.below(KEYS.len())];
            let environment = vec![
                (variable(key).into(), garbage.text().into()),
                (
                    format!("BERTH__{}", garbage.text()).into(),
                    garbage.text().into(),
                ),
            ];
            survives(load(&Sources {
                service: BERTH,
                version: VERSION,
                file: Some(path),
                environment,
            }));
        }
    }
}

#[cfg(unix)]
#[test]
fn variables_that_are_not_text() {
    use std::os::unix::ffi::OsStringExt as _;

    let bytes = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let environment = vec![
        ("PORT".into(), bytes(b"80\xff")),
        ("BERTH__APP__NAME".into(), bytes(b"\xff")),
        (bytes(b"BERTH__\xff"), "x".into()),
        (bytes(b"\xff"), bytes(b"\xff")),
    ];
    let faults = faults(load(&Sources {
        service: BERTH,
        version: VERSION,
        file: None,
        environment,
    }));
    let lines: Vec<_> = faults.iter().map(Fault::to_string).collect();
    assert_eq!(
        lines,
        [
            "\"\u{fffd}\" (environment variable BERTH__\u{fffd}): unknown key",
            "app.name = \"\u{fffd}\" (environment variable BERTH__APP__NAME): \
         must be 1 to 64 characters without control characters, and no URL; this is not UTF-8",
            "server.port = \"80\u{fffd}\" (environment variable PORT): \
         must be a whole number from 0 to 65535; this is not UTF-8",
        ]
    );
}

#[test]
fn indices_in_names_allocate_nothing() {
    let faults = faults(with_file(
        "a.toml",
        "'a[1000000000]' = 1\n[server]\n'port[9999999999]' = 1\n",
        &[
            ("BERTH__SERVER__PORT[1000000000]", "1"),
            ("BERTH__A.B[0]__C", "1"),
        ],
    ));
    assert_eq!(faults.len(), 4);
}
