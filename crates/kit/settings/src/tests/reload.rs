use super::*;

/// What a reload says of each key is what it does with it.
#[test]
fn each_key_applies_at_once_or_waits_for_a_restart() {
    let mut live = Vec::new();
    for (key, text, _) in &KEYS[..29] {
        let needed = needed(key);
        let needed: Vec<_> = needed
            .iter()
            .map(|(name, value)| (&**name, *value))
            .collect();
        let running = from_env(&needed).unwrap();
        let read = alone(key, text).unwrap();
        assert_ne!(read.settings, running.settings, "{key}");
        let Reloaded { loaded, pending } = running.reload(read.clone());
        if pending.is_empty() {
            live.push(*key);
            assert_eq!(loaded, read, "{key}");
        } else {
            assert_eq!(loaded, running, "{key}");
            assert_eq!(pending, [entry(&read, key).clone()]);
        }
    }
    let expected = [
        "server.request_timeout",
        "shutdown.drain_delay",
        "shutdown.timeout",
        "shutdown.grace_period",
        "readiness.checks",
        "log.filter",
        "log.format",
        "log.access",
        "log.probes",
    ];
    assert_eq!(live, expected);
}

#[test]
fn what_waits_does_not_hold_back_what_does_not() {
    let running = from_env(&[]).unwrap();
    let read = from_env(&[("PORT", "9000"), ("BERTH__LOG__FILTER", "debug")]).unwrap();
    let Reloaded { loaded, pending } = running.reload(read);
    assert_eq!(loaded.settings.server.port, 8080);
    assert_eq!(entry(&loaded, "server.port").origin, Origin::Default);
    assert_eq!(loaded.settings.log.filter, "debug");
    assert_eq!(entry(&loaded, "log.filter").value, "\"debug\"");
    assert_eq!(pending.len(), 1);
    // It still waits at the next time, and no longer once it is taken back.
    let again = from_env(&[("PORT", "9000")]).unwrap();
    assert_eq!(loaded.reload(again).pending.len(), 1);
    assert_eq!(loaded.reload(from_env(&[]).unwrap()).pending, []);
}
