//! Binding the listener, and saying what to do when it cannot be bound.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
};

use anyhow::{Context as _, anyhow};
use berth_config::Server;

/// The addresses to listen on: every one that `server.host` stands for, with this port.
pub(crate) fn addresses(server: &Server, port: u16) -> anyhow::Result<Vec<SocketAddr>> {
    let name = display(&server.host, port);
    let found: Vec<_> = (server.host.as_str(), port)
        .to_socket_addrs()
        .with_context(|| {
            format!("cannot listen on {name}: the host name has no address (set server.host to an address of this machine, or 0.0.0.0 for all)")
        })?
        .collect();
    if found.is_empty() {
        return Err(anyhow!(
            "cannot listen on {name}: the host name has no address"
        ));
    }
    Ok(found)
}

/// What sets the public port.
pub(crate) const PUBLIC: &str = "PORT or server.port";

/// What sets the private port.
pub(crate) const MANAGEMENT: &str = "management.port";

/// A failed bind in one line: what, where, why, and what to change. `key` is what sets the port.
pub(crate) fn explain(address: SocketAddr, error: &io::Error, key: &str) -> anyhow::Error {
    let (why, hint) = match error.kind() {
        io::ErrorKind::AddrInUse => (
            "address already in use".to_owned(),
            format!("set {key}, or stop the process that holds it"),
        ),
        io::ErrorKind::PermissionDenied => (
            "permission denied".to_owned(),
            format!("ports below 1024 are for privileged processes: set {key} to 1024 or above"),
        ),
        io::ErrorKind::AddrNotAvailable => (
            "this machine does not have the address".to_owned(),
            "set server.host to an address of this machine, or 0.0.0.0 for all".to_owned(),
        ),
        _ => (
            error.to_string(),
            format!("set server.host and {key} to an address of this machine"),
        ),
    };
    anyhow!("cannot listen on {address}: {why} ({hint})")
}

fn display(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}
