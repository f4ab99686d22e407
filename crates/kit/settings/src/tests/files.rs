use std::os::unix::fs::symlink;
use std::process::Command;

use super::*;

#[test]
fn a_malformed_file_is_one_fault_among_others() {
    for (name, text) in [
        ("a.toml", "[server\nport = 1\n"),
        ("a.yaml", "server:\n port: 1\n  x: [\n"),
    ] {
        let faults = faults(with_file(name, text, &[("PORT", "x")]));
        assert_eq!(faults.len(), 2);
        assert_eq!(faults[0].key, "");
        let line = faults[0].to_string();
        assert!(
            line.starts_with("file /")
                && line.contains("cannot be parsed")
                && line.contains("line "),
            "{line}"
        );
        assert_eq!(faults[1].key, "server.port");
    }
}

#[test]
fn unreadable_files_say_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::create_dir(path("dir.toml")).unwrap();
    fs::write(path("bytes.toml"), b"a = '\xff'").unwrap();
    fs::write(path("large.yaml"), "#".repeat((1 << 20) + 1)).unwrap();
    fs::write(path("full.yaml"), "#".repeat(1 << 20)).unwrap();
    fs::write(path("a.json"), "{}").unwrap();
    // Of no length that its metadata would betray.
    let sparse = fs::File::create(path("sparse.toml")).unwrap();
    sparse.set_len(1 << 40).unwrap();
    symlink("/dev/zero", path("device.toml")).unwrap();
    let made = Command::new("mkfifo").arg(path("pipe.toml")).status();
    assert!(made.unwrap().success());
    let open = |path: &Path| {
        load(&Sources {
            service: BERTH,
            version: VERSION,
            file: Some(path.to_owned()),
            environment: vec![],
        })
    };
    for (name, says) in [
        (
            "none.toml",
            "No such file or directory (os error 2); check the path (--config or BERTH_CONFIG)",
        ),
        ("dir.toml", "it is a directory"),
        ("bytes.toml", "it is not UTF-8"),
        ("large.yaml", "it is larger than 1 MiB"),
        ("sparse.toml", "it is larger than 1 MiB"),
        ("device.toml", "it is a pipe, a socket or a device"),
        ("pipe.toml", "it is a pipe, a socket or a device"),
        ("a.json", "its name must end in .toml, .yaml or .yml"),
        ("noextension", "its name must end in"),
        ("", "its name must end in"),
    ] {
        let error = open(&path(name)).unwrap_err();
        assert!(matches!(error, Error::File { .. }));
        let text = error.to_string();
        assert!(
            text.starts_with("cannot use the settings file /") && text.contains(says),
            "{text}"
        );
    }
    open(&path("full.yaml")).unwrap();
}
