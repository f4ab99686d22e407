//! Binding the listener, and saying what to do when it cannot be bound.

use std::{
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
};

use anyhow::{Context as _, anyhow};
use berth_config::Server;
use socket2::{Domain, Protocol, Socket, Type};

/// How much of an answer waits in the kernel until it can be sent, in bytes. By itself the kernel
/// takes megabytes for each client that does not read, and then needs as long to notice that a slow
/// one does.
const UNSENT: u32 = 64 * 1024;

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

/// Binds one address. What is set on the listener holds for each connection that it accepts.
pub(crate) fn bind(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    // A restarted server must not wait for the connections of the one before to time out.
    socket.set_reuse_address(true)?;
    // An answer in several writes must not wait for the client's acknowledgements.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(UNSENT)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
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
