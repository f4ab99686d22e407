//! Who the client of a request is, where proxies stand between it and us.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use actix_web::http::header::{FORWARDED, HeaderMap, HeaderName, X_FORWARDED_FOR};
use ipnet::IpNet;

/// The proxies that are believed what they say of a request's client.
///
/// What a header says is read from the right: the last entry is what the nearest proxy has seen. Each further one
/// counts only if the address to its right is a trusted proxy's, too, so no client can pass as another.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Option<Arc<[IpNet]>>);

impl TrustedProxies {
    /// Those whose addresses are in these networks.
    #[must_use]
    pub fn new(networks: &[IpNet]) -> Self {
        Self((!networks.is_empty()).then(|| networks.into()))
    }

    /// Whether this is the address of one. IPv4 is such, also where it has come by IPv6.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0
            .as_deref()
            .is_some_and(|networks| networks.iter().any(|network| network.contains(&address)))
    }

    /// The client of a request that came from `peer`: the peer itself, or what it says where it is trusted.
    ///
    /// `Forwarded` (RFC 7239) and `X-Forwarded-For` are read alike. A proxy writes one of them and may pass the other
    /// one on as a client made it up, so where both are there and do not agree, neither is believed.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.contains(peer) {
            return peer;
        }
        let by = |name, address: fn(&[u8]) -> Option<IpAddr>| {
            let is_there = headers.contains_key(&name);
            is_there.then(|| self.walk(peer, entries(headers, &name).map(address)))
        };
        match (
            by(FORWARDED, forwarded_for),
            by(X_FORWARDED_FOR, node_of_bytes),
        ) {
            (Some(one), Some(other)) if one != other => peer,
            (Some(client), _) | (None, Some(client)) => client,
            (None, None) => peer,
        }
    }

    /// The first address that is no proxy's, or the last that is known.
    fn walk(&self, peer: IpAddr, hops: impl Iterator<Item = Option<IpAddr>>) -> IpAddr {
        let mut client = peer;
        for hop in hops {
            // `unknown`, a name or garbage: what is beyond it, nobody vouches for.
            let Some(address) = hop else {
                break;
            };
            client = address;
            if !self.contains(client) {
                break;
            }
        }
        client
    }
}

/// The entries of all headers of this name, from the last to the first.
fn entries<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    let lines: Vec<_> = headers.get_all(name).collect();
    lines
        .into_iter()
        .rev()
        .flat_map(|line| from_the_right(line.as_bytes(), b','))
        .filter(|entry| !entry.is_empty())
}

/// The parts between separators outside of quotes, from the last to the first, without spaces around them. It is the
/// end of the line that a trusted proxy has written, so no quote that a client leaves open can swallow it.
fn from_the_right(line: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest?;
        let mut quoted = false;
        let at = line.iter().enumerate().rev().find_map(|(at, byte)| {
            quoted ^= *byte == b'"' && !is_escaped(line, at);
            (*byte == separator && !quoted).then_some(at)
        });
        let part = at.map_or(line, |at| &line[at + 1..]);
        rest = at.map(|at| &line[..at]);
        Some(part.trim_ascii())
    })
}

/// Whether a backslash stands before it that is not escaped itself.
fn is_escaped(line: &[u8], at: usize) -> bool {
    let before = line[..at].iter().rev();
    before.take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// The address of the `for` of an element such as `for="[2001:db8::1]:80";proto=https`.
fn forwarded_for(element: &[u8]) -> Option<IpAddr> {
    let mut nodes = from_the_right(element, b';').filter_map(|pair| {
        let (name, value) = std::str::from_utf8(pair).ok()?.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then_some(value)
    });
    let value = nodes.next()?.trim();
    // Two of them contradict each other.
    if nodes.next().is_some() {
        return None;
    }
    let unquoted = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    node(unquoted.unwrap_or(value))
}

fn node_of_bytes(text: &[u8]) -> Option<IpAddr> {
    node(std::str::from_utf8(text).ok()?)
}

/// The address of a node: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`; none
/// for `unknown` and for names such as `_hidden`.
fn node(text: &str) -> Option<IpAddr> {
    let address = if let Some(bracketed) = text.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
            return None;
        }
        address.parse::<Ipv6Addr>().ok()?.into()
    } else if let Ok(address) = text.parse::<IpAddr>() {
        address
    } else {
        let (address, _) = text.split_once(':').filter(|(_, port)| is_port(port))?;
        address.parse::<Ipv4Addr>().ok()?.into()
    };
    Some(address.to_canonical())
}

/// A number, or a name that stands for one.
fn is_port(text: &str) -> bool {
    let is_name = |name: &str| {
        let is_ours = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        !name.is_empty() && name.bytes().all(is_ours)
    };
    let is_number = (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number || text.strip_prefix('_').is_some_and(is_name)
}

/// The peer's address, by which the client is found.
pub(crate) fn client(
    proxies: &TrustedProxies,
    peer: Option<SocketAddr>,
    headers: &HeaderMap,
) -> Option<IpAddr> {
    peer.map(|peer| proxies.client(peer.ip(), headers))
}

#[cfg(test)]
mod tests;
