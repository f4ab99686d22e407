//! The hosts file.

use std::{fs, net::IpAddr, path::Path};

/// The addresses that the file has for a host, in its order. One that cannot be read has none.
pub(crate) fn lookup(file: &Path, host: &str) -> Vec<IpAddr> {
    let Ok(bytes) = fs::read(file) else {
        return Vec::new();
    };
    let text = String::from_utf8_lossy(&bytes);
    let mut found = Vec::new();
    for line in text.lines() {
        let entry = line.split('#').next().unwrap_or_default();
        let mut words = entry.split_ascii_whitespace();
        let Some(Ok(address)) = words.next().map(str::parse) else {
            continue;
        };
        if words.any(|name| name.eq_ignore_ascii_case(host)) {
            found.push(address);
        }
    }
    found
}
