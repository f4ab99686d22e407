//! Binding the listener, and saying what to do when it cannot be bound.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
};

use anyhow::{Context as _, anyhow};
use berth_config::Server;

/// The addresses to listen on: every one that `server.host` stands for.
pub(crate) fn addresses(server: &Server) -> anyhow::Result<Vec<SocketAddr>> {
    let name = display(server);
    let found: Vec<_> = (server.host.as_str(), server.port)
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

/// A failed bind in one line: what, where, why, and what to change.
pub(crate) fn explain(address: SocketAddr, error: &io::Error) -> anyhow::Error {
    let (why, hint) = match error.kind() {
        io::ErrorKind::AddrInUse => (
            "address already in use".to_owned(),
            "set PORT or server.port, or stop the process that holds it",
        ),
        io::ErrorKind::PermissionDenied => (
            "permission denied".to_owned(),
            "ports below 1024 are for privileged processes: set PORT or server.port to 1024 or above",
        ),
        io::ErrorKind::AddrNotAvailable => (
            "this machine does not have the address".to_owned(),
            "set server.host to an address of this machine, or 0.0.0.0 for all",
        ),
        _ => (
            error.to_string(),
            "set server.host and server.port to an address of this machine",
        ),
    };
    anyhow!("cannot listen on {address}: {why} ({hint})")
}

fn display(server: &Server) -> String {
    if server.host.contains(':') {
        format!("[{}]:{}", server.host, server.port)
    } else {
        format!("{}:{}", server.host, server.port)
    }
}
