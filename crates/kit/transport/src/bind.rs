//! One port on every address that a host stands for.

use std::{
    collections::HashSet,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
};

use crate::listen::{self, Error, Keys, canonical};

/// How often the system is asked for a port that is free on all addresses.
const ATTEMPTS: u32 = 16;

/// A port that is bound, on one address at least.
#[derive(Debug, Default)]
pub struct Bound {
    /// One for each address.
    pub listeners: Vec<TcpListener>,
    /// Where they listen, in the same order, all on one port.
    pub addresses: Vec<SocketAddr>,
    /// Why the other addresses are missing, for a warning each.
    pub skipped: Vec<Error>,
}

/// Binds these addresses, each once, all on one port, also where the system picks it. `keys` name what sets
/// it, for the message of an error.
///
/// An address that this machine does not have is left out where it has another: `localhost` is `::1`, too, on many
/// a machine without IPv6. Where `::` cannot be had at all, `0.0.0.0` takes its place.
///
/// # Errors
///
/// When no address can be bound, or one is in use: then another process would answer some of the clients.
pub fn all(addresses: &[SocketAddr], backlog: u32, keys: Keys) -> Result<Bound, Error> {
    all_with(addresses, keys, |address| listen::bind(address, backlog))
}

fn all_with(
    addresses: &[SocketAddr],
    keys: Keys,
    bind: impl Fn(SocketAddr) -> io::Result<TcpListener>,
) -> Result<Bound, Error> {
    let mut seen = HashSet::new();
    let addresses: Vec<_> = addresses
        .iter()
        .map(|address| canonical(*address))
        .filter(|address| seen.insert(*address))
        .collect();
    let mut attempt = 1;
    loop {
        match once(&addresses, keys, &bind) {
            // The port that was free on one address is taken on another.
            Err(Error::Bind { address, error, .. })
                if error.kind() == io::ErrorKind::AddrInUse
                    && attempt < ATTEMPTS
                    && !addresses.contains(&address) =>
            {
                attempt += 1;
            }
            done => return done,
        }
    }
}

fn once(
    addresses: &[SocketAddr],
    keys: Keys,
    bind: impl Fn(SocketAddr) -> io::Result<TcpListener>,
) -> Result<Bound, Error> {
    let mut bound = Bound::default();
    for address in addresses {
        bound.add(*address, keys, &bind)?;
    }
    let no_ipv6 = addresses
        .iter()
        .find(|address| address.ip() == Ipv6Addr::UNSPECIFIED);
    if let (true, Some(address)) = (bound.listeners.is_empty(), no_ipv6) {
        bound.add((Ipv4Addr::UNSPECIFIED, address.port()).into(), keys, &bind)?;
    }
    if bound.listeners.is_empty() && !bound.skipped.is_empty() {
        return Err(bound.skipped.remove(0));
    }
    Ok(bound)
}

impl Bound {
    fn add(
        &mut self,
        mut address: SocketAddr,
        keys: Keys,
        bind: impl Fn(SocketAddr) -> io::Result<TcpListener>,
    ) -> Result<(), Error> {
        if let (0, Some(first)) = (address.port(), self.addresses.first()) {
            address.set_port(first.port());
        }
        let bound = bind(address).and_then(|listener| Ok((listener.local_addr()?, listener)));
        match bound {
            Ok((local, listener)) => {
                self.addresses.push(local);
                self.listeners.push(listener);
            }
            Err(error) => {
                let is_taken = error.kind() == io::ErrorKind::AddrInUse;
                let error = Error::Bind {
                    address,
                    keys,
                    error,
                };
                if is_taken {
                    return Err(error);
                }
                self.skipped.push(error);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: Keys = Keys {
        host: "server.host",
        port: "server.port",
    };

    fn v4(last: u8, port: u16) -> SocketAddr {
        ([127, 0, 0, last], port).into()
    }

    fn bind(address: SocketAddr) -> io::Result<TcpListener> {
        listen::bind(address, 16)
    }

    /// A machine without IPv6.
    fn only_ipv4(address: SocketAddr) -> io::Result<TcpListener> {
        if address.is_ipv6() {
            // Address family not supported by protocol.
            return Err(io::Error::from_raw_os_error(97));
        }
        bind(address)
    }

    #[test]
    fn each_address_is_bound_once() {
        let mapped = SocketAddr::from(([0, 0, 0, 0, 0, 0xffff, 0x7f00, 1], 0));
        let bound = all(&[v4(1, 0), v4(1, 0), mapped], 16, KEYS).unwrap();
        assert_eq!(bound.addresses.len(), 1, "{bound:?}");
        assert_eq!(bound.addresses[0].ip(), v4(1, 0).ip());
        assert!(bound.skipped.is_empty());
    }

    #[test]
    fn the_system_picks_one_port_for_all() {
        let bound = all(&[v4(1, 0), v4(2, 0), v4(3, 0)], 16, KEYS).unwrap();
        let ports: HashSet<_> = bound.addresses.iter().map(SocketAddr::port).collect();
        assert_eq!((bound.addresses.len(), ports.len()), (3, 1), "{bound:?}");
        assert_ne!(bound.addresses[0].port(), 0);
    }

    #[test]
    fn a_port_that_is_free_on_some_addresses_only_is_tried_again() {
        let tries = std::cell::Cell::new(0);
        let busy_at_first = |address: SocketAddr| {
            if address.ip() == v4(2, 0).ip() {
                tries.set(tries.get() + 1);
                if tries.get() < 3 {
                    return Err(io::ErrorKind::AddrInUse.into());
                }
            }
            bind(address)
        };
        let bound = all_with(&[v4(1, 0), v4(2, 0)], KEYS, busy_at_first).unwrap();
        assert_eq!(bound.addresses[0].port(), bound.addresses[1].port());
        assert_eq!(tries.get(), 3);
        let always = |address: SocketAddr| {
            if address.ip() == v4(2, 0).ip() {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            bind(address)
        };
        assert!(all_with(&[v4(1, 0), v4(2, 0)], KEYS, always).is_err());
    }

    #[test]
    fn an_address_that_the_machine_does_not_have_is_left_out() {
        // Of a block for documentation.
        let foreign = SocketAddr::from(([192, 0, 2, 1], 0));
        let bound = all(&[foreign, v4(1, 0)], 16, KEYS).unwrap();
        assert_eq!(bound.addresses.len(), 1);
        assert_eq!(
            bound.skipped[0].to_string(),
            "cannot listen on 192.0.2.1:0: this machine does not have the address (set server.host to an \
             address of this machine, or 0.0.0.0 for all)"
        );
        assert!(all(&[foreign], 16, KEYS).is_err());
    }

    #[test]
    fn a_port_in_use_on_one_address_is_an_error() {
        let taken = bind(v4(2, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = all(&[v4(1, port), v4(2, port)], 16, KEYS).unwrap_err();
        assert!(error.to_string().contains("already in use"), "{error}");
    }

    #[test]
    fn without_ipv6_all_addresses_are_those_of_ipv4() {
        let unspecified = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        let bound = all_with(&[unspecified], KEYS, only_ipv4).unwrap();
        assert_eq!(bound.addresses[0].ip(), Ipv4Addr::UNSPECIFIED);
        assert_eq!(bound.skipped.len(), 1);
        // One that was asked for is not replaced by all.
        let loopback = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
        assert!(all_with(&[loopback], KEYS, only_ipv4).is_err());
        let bound = all_with(&[loopback, v4(1, 0)], KEYS, only_ipv4).unwrap();
        assert_eq!(bound.addresses[0].ip(), v4(1, 0).ip());
    }
}
