//! Listeners: which addresses, how they are bound, and what to do when they cannot be.

use std::{
    io,
    net::{Ipv6Addr, SocketAddr, TcpListener},
};

use socket2::{Domain, Protocol, Socket, Type};

/// How much of an answer waits in the kernel until it can be sent, in bytes. By itself the kernel
/// takes megabytes for each client that does not read, and then needs as long to notice that a slow
/// one does.
const UNSENT: u32 = 64 * 1024;

/// The settings that say where to listen, for whoever has to change them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys {
    /// What sets the host.
    pub host: &'static str,
    /// What sets the port.
    pub port: &'static str,
}

/// A port cannot be listened on. Says in one line what, where, why, and what to change.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host has no address.
    #[error(
        "cannot listen on {name}: the host name has no address (set {key} to an address of this machine, or \
         0.0.0.0 for all)"
    )]
    NoAddress {
        /// Host and port.
        name: String,
        /// What sets the host.
        key: &'static str,
        /// Why.
        #[source]
        source: berth_kit_names::Error,
    },
    /// The address cannot be bound.
    #[error(
        "cannot listen on {address}: {} ({})",
        reason(error),
        remedy(error, *keys)
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What sets it.
        keys: Keys,
        /// What the system says.
        error: io::Error,
    },
}

/// The addresses to listen on: every one that `host` stands for, with this port.
///
/// # Errors
///
/// When there is none.
pub fn addresses(host: &str, port: u16, keys: Keys) -> Result<Vec<SocketAddr>, Error> {
    let found = berth_kit_names::lookup_blocking(host).map_err(|source| Error::NoAddress {
        name: display(host, port),
        key: keys.host,
        source,
    })?;
    let found = found.into_iter();
    Ok(found.map(|ip| SocketAddr::new(ip, port)).collect())
}

/// Binds one address. What is set on the listener holds for each connection that it accepts.
///
/// # Errors
///
/// When the system refuses; [`Error::Bind`] explains it.
pub fn bind(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    // A restarted server must not wait for the connections of the one before to time out.
    socket.set_reuse_address(true)?;
    // An answer in several writes must not wait for the client's acknowledgements.
    socket.set_tcp_nodelay(true)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(UNSENT)?;
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        // All addresses are those of IPv4, too, whatever the system's default is (net.ipv6.bindv6only).
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

/// IPv4 as such, also where it has come to an IPv6 socket.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Has the kernel drop what would open a new connection to this listener: its client tries again a second
/// later, and is refused once the listener has closed. What has been opened, or is being, goes on. Closing
/// the listener alone would reset all that waits to be accepted. See `docs/decisions/stop.md`.
#[cfg(target_os = "linux")]
pub(crate) fn refuse_new(listener: &TcpListener) -> io::Result<()> {
    use socket2::{SockFilter, SockRef};

    // Offset and bits of the flags in a TCP header, and the kernel's numbers for its instructions.
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    const SYN_OR_ACK: u32 = 0x12;
    const LOAD_BYTE: u16 = 0x30;
    const AND: u16 = 0x54;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    SockRef::from(listener).attach_filter(&[
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
        SockFilter::new(AND, 0, 0, SYN_OR_ACK),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ])
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn refuse_new(_: &TcpListener) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "address already in use".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this machine does not have the address".to_owned(),
        _ => error.to_string(),
    }
}

fn remedy(error: &io::Error, Keys { host, port }: Keys) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!("set {port}, or stop the process that holds it"),
        io::ErrorKind::PermissionDenied => {
            format!("ports below 1024 are for privileged processes: set {port} to 1024 or above")
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("set {host} to an address of this machine, or 0.0.0.0 for all")
        }
        _ => format!("set {host} and {port} to an address of this machine"),
    }
}

fn display(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}
