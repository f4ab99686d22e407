//! A server's connections as the kernel has them, accepted or not. It is the only one who knows all of
//! them: what waits in a listener's queue, with the acceptor, or for a worker that is busy.

use std::{io, net::SocketAddr};

/// Connections that no worker has taken on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// That are being made.
    pub(crate) handshakes: usize,
    /// That are there.
    pub(crate) connections: usize,
    /// Of these, those that have been accepted.
    pub(crate) accepted: usize,
}

/// Counts the connections to these addresses of which `is_known` knows nothing.
pub(crate) fn waiting(
    addresses: &[SocketAddr],
    is_known: impl Fn(&SocketAddr) -> bool,
) -> io::Result<Waiting> {
    let mut waiting = Waiting::default();
    for socket in table::of(addresses)? {
        match socket.state {
            table::State::Handshake => waiting.handshakes += 1,
            table::State::Open if !is_known(&socket.peer) => {
                waiting.connections += 1;
                waiting.accepted += usize::from(socket.is_accepted);
            }
            table::State::Open => {}
        }
    }
    Ok(waiting)
}

/// The clients of the connections to these addresses on which bytes wait to be read.
pub(crate) fn unread(addresses: &[SocketAddr]) -> io::Result<impl Iterator<Item = SocketAddr>> {
    let sockets = table::of(addresses)?.into_iter();
    Ok(sockets
        .filter(|socket| socket.state == table::State::Open && socket.unread > 0)
        .map(|socket| socket.peer))
}

#[derive(Debug)]
struct Socket {
    peer: SocketAddr,
    state: table::State,
    is_accepted: bool,
    unread: u32,
}

#[cfg(target_os = "linux")]
mod table {
    use std::{fs, io, net::SocketAddr};

    use procfs::{
        FromBufReadSI as _, current_system_info,
        net::{TcpNetEntries, TcpNetEntry, TcpState},
    };

    use super::Socket;
    use crate::listen::canonical;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) enum State {
        Handshake,
        Open,
    }

    pub(super) fn of(addresses: &[SocketAddr]) -> io::Result<Vec<Socket>> {
        let mut entries = read("/proc/net/tcp", addresses)?;
        if addresses.iter().any(SocketAddr::is_ipv6) {
            entries.extend(read("/proc/net/tcp6", addresses)?);
        }
        Ok(entries
            .into_iter()
            .filter(|entry| addresses.iter().any(|address| is_at(entry, *address)))
            .filter_map(|entry| {
                let state = match entry.state {
                    TcpState::SynRecv | TcpState::NewSynRecv => State::Handshake,
                    // The client of the second has sent all that it will.
                    TcpState::Established | TcpState::CloseWait => State::Open,
                    _ => return None,
                };
                Some(Socket {
                    peer: canonical(entry.remote_address),
                    state,
                    // What waits in the listener's queue belongs to no process, and has no inode.
                    is_accepted: entry.inode != 0,
                    unread: entry.rx_queue,
                })
            })
            .collect())
    }

    /// Reads a table. Most of what is in one can be connections that are long closed, or of others, so
    /// their lines are left out before they are parsed.
    fn read(path: &str, addresses: &[SocketAddr]) -> io::Result<Vec<TcpNetEntry>> {
        const TIME_WAIT: &str = " 06 ";
        let ports: Vec<_> = addresses
            .iter()
            .map(|address| format!(":{:04X} ", address.port()))
            .collect();
        let table = fs::read_to_string(path)?;
        let (heading, rows) = table.split_once('\n').unwrap_or_default();
        let rows = rows
            .lines()
            .filter(|row| !row.contains(TIME_WAIT) && ports.iter().any(|port| row.contains(port)));
        let wanted: Vec<_> = std::iter::once(heading).chain(rows).collect();
        TcpNetEntries::from_buf_read(wanted.join("\n").as_bytes(), current_system_info())
            .map(|entries| entries.0)
            .map_err(io::Error::other)
    }

    fn is_at(entry: &TcpNetEntry, address: SocketAddr) -> bool {
        let local = canonical(entry.local_address);
        local.port() == address.port()
            && (address.ip().is_unspecified() || local.ip() == address.ip().to_canonical())
    }
}

/// Elsewhere than on Linux nothing is seen, and what waits at the stop may be lost.
#[cfg(not(target_os = "linux"))]
mod table {
    use std::{io, net::SocketAddr};

    use super::Socket;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) enum State {
        #[allow(dead_code, reason = "only Linux has a table of sockets")]
        Handshake,
        #[allow(dead_code, reason = "only Linux has a table of sockets")]
        Open,
    }

    pub(super) fn of(_: &[SocketAddr]) -> io::Result<Vec<Socket>> {
        Ok(Vec::new())
    }
}
