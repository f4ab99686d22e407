//! The PROXY protocol: what a proxy says of its client before the first byte of HTTP.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use actix_rt::time::sleep;
use bytes::{Bytes, BytesMut};
use futures_util::future::{Either, select};
use proxy_header::{ParseConfig, Protocol, ProxyHeader};
use tokio::io::AsyncReadExt as _;

use super::ByteStream;
use crate::{framing::Wrong, listen::canonical, stop::Stop};

/// How a header of version 1 begins, and how long it may be, by its specification.
const V1: &[u8] = b"PROXY ";
const V1_MAX: usize = 107;

/// How one of version 2 begins, and how long it is without what its length counts.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_FIXED: usize = V2.len() + 4;

/// How long one of version 2 may be, in bytes. It could have 64 KiB; proxies send some hundred bytes, or a
/// certificate's name.
const V2_MAX: usize = 4096;

/// How long a stop waits for a header.
const AT_A_STOP: Duration = Duration::from_secs(1);

/// Which peers speak the PROXY protocol, version 1 or 2. Each connection of theirs must begin with a header; in one
/// of any other peer a header is no HTTP, and refused as such.
#[derive(Clone)]
pub struct ProxyProtocol(Arc<dyn Fn(IpAddr) -> bool + Send + Sync>);

impl ProxyProtocol {
    /// Asks `is_proxy` of each peer; IPv4 addresses are such, also on a socket of IPv6.
    pub fn from_peers(is_proxy: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_proxy))
    }

    pub(crate) fn is_spoken_by(&self, peer: IpAddr) -> bool {
        (self.0)(peer)
    }
}

impl fmt::Debug for ProxyProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyProtocol").finish_non_exhaustive()
    }
}

/// What stood at the beginning of a connection.
#[derive(Debug)]
pub(crate) struct Preface {
    /// The client; the proxy itself where it speaks for nobody else, such as in its own health checks.
    pub(crate) client: SocketAddr,
    /// What came along with the header.
    pub(crate) read: Bytes,
}

impl Preface {
    /// Of a peer that is the client itself.
    pub(crate) fn none(client: SocketAddr) -> Self {
        Self {
            client,
            read: Bytes::new(),
        }
    }
}

/// Why there is none.
#[derive(Debug)]
pub(crate) enum Missing {
    /// Something else came, or nothing in time.
    Wrong(Wrong),
    /// The peer has left, or the server stops.
    Gone,
}

const NOT_THERE: Wrong = (
    400,
    "a connection from this address must begin with a PROXY header (server.proxy_protocol)",
);
const TOO_LATE: Wrong = (408, "the PROXY header did not arrive in time");

/// Reads the header from the beginning of a connection, within this time.
pub(crate) async fn read(
    io: &mut impl ByteStream,
    peer: SocketAddr,
    within: Duration,
    stop: &Stop,
) -> Result<Preface, Missing> {
    let header = pin!(read_header(io, peer));
    let stopped = async {
        stop.closing().await;
        sleep(AT_A_STOP).await;
    };
    let (late, stopped) = (pin!(sleep(within)), pin!(stopped));
    match select(header, select(late, stopped)).await {
        Either::Left((preface, _)) => preface,
        Either::Right((Either::Left(_), _)) => Err(Missing::Wrong(TOO_LATE)),
        Either::Right((Either::Right(_), _)) => Err(Missing::Gone),
    }
}

async fn read_header(io: &mut impl ByteStream, peer: SocketAddr) -> Result<Preface, Missing> {
    let mut read = BytesMut::with_capacity(512);
    loop {
        if let Some(length) = length(&read).map_err(Missing::Wrong)? {
            let header = read.split_to(length);
            let client = client(&header, peer).ok_or(Missing::Wrong(NOT_THERE))?;
            // A slice would keep the whole buffer.
            let read = Bytes::copy_from_slice(&read);
            return Ok(Preface { client, read });
        }
        match io.read_buf(&mut read).await {
            Ok(0) | Err(_) => return Err(Missing::Gone),
            Ok(_) => {}
        }
    }
}

/// How long the header is that these bytes begin with, once that is known and all of it is there.
fn length(read: &[u8]) -> Result<Option<usize>, Wrong> {
    let begins_as = |what: &[u8]| {
        let both = what.len().min(read.len());
        read[..both] == what[..both]
    };
    if begins_as(V1) {
        let line = &read[..read.len().min(V1_MAX)];
        return match line.iter().position(|byte| *byte == b'\n') {
            Some(at) => Ok(Some(at + 1)),
            None if line.len() == V1_MAX => Err(NOT_THERE),
            None => Ok(None),
        };
    }
    if begins_as(V2) {
        let Some(fixed) = read.get(..V2_FIXED) else {
            return Ok(None);
        };
        let rest = u16::from_be_bytes([fixed[V2_FIXED - 2], fixed[V2_FIXED - 1]]);
        let length = V2_FIXED + usize::from(rest);
        if length > V2_MAX {
            return Err(NOT_THERE);
        }
        return Ok((read.len() >= length).then_some(length));
    }
    Err(NOT_THERE)
}

/// The client that a whole header names, or the peer where it names none; nothing where it is broken.
fn client(header: &[u8], peer: SocketAddr) -> Option<SocketAddr> {
    let config = ParseConfig {
        include_tlvs: false,
        ..ParseConfig::default()
    };
    let (parsed, length) = ProxyHeader::parse(header, config).ok()?;
    if length != header.len() {
        return None;
    }
    Some(match parsed.proxied_address() {
        Some(address) if address.protocol == Protocol::Stream => canonical(address.source),
        _ => peer,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> SocketAddr {
        ([10, 0, 0, 1], 1).into()
    }

    /// What becomes of these bytes and no more: the client and what is left over.
    fn read(bytes: &[u8]) -> Result<Option<(String, &[u8])>, Wrong> {
        let Some(length) = length(bytes)? else {
            return Ok(None);
        };
        let client = client(&bytes[..length], peer()).ok_or(NOT_THERE)?;
        Ok(Some((client.to_string(), &bytes[length..])))
    }

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [V2, &[command, family], &length, rest].concat()
    }

    fn v4_addresses() -> Vec<u8> {
        [192, 0, 2, 7, 10, 0, 0, 1, 0x30, 0x39, 0, 80].to_vec()
    }

    #[test]
    fn both_versions_name_the_client() {
        let mapped = [
            &[0; 10][..],
            &[0xff, 0xff, 192, 0, 2, 7],
            &[0; 16],
            &[0x30, 0x39, 0, 80],
        ];
        let with_more = [v4_addresses(), vec![4, 0, 3, 1, 2, 3]].concat();
        for (header, client) in [
            (
                b"PROXY TCP4 192.0.2.7 10.0.0.1 12345 80\r\n".to_vec(),
                "192.0.2.7:12345",
            ),
            (
                b"PROXY TCP6 2001:db8::7 ::1 12345 80\r\n".to_vec(),
                "[2001:db8::7]:12345",
            ),
            (
                b"PROXY TCP6 ::ffff:192.0.2.7 ::1 12345 80\r\n".to_vec(),
                "192.0.2.7:12345",
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), "10.0.0.1:1"),
            (b"PROXY UNKNOWN ::1 ::1 1 2\r\n".to_vec(), "10.0.0.1:1"),
            (v2(0x21, 0x11, &v4_addresses()), "192.0.2.7:12345"),
            (v2(0x21, 0x11, &with_more), "192.0.2.7:12345"),
            (v2(0x21, 0x21, &mapped.concat()), "192.0.2.7:12345"),
            // The proxy itself; a socket of Unix; datagrams, which nobody can have sent here.
            (v2(0x20, 0x00, &[]), "10.0.0.1:1"),
            (v2(0x20, 0x11, &v4_addresses()), "10.0.0.1:1"),
            (v2(0x21, 0x31, &[0; 216]), "10.0.0.1:1"),
            (v2(0x21, 0x12, &v4_addresses()), "10.0.0.1:1"),
        ] {
            let rest = b"GET / HTTP/1.1\r\n";
            let all = [&header, &rest[..]].concat();
            assert_eq!(
                read(&all),
                Ok(Some((client.to_owned(), &rest[..]))),
                "{header:?}"
            );
            for end in 0..header.len() {
                assert_eq!(read(&header[..end]), Ok(None), "{:?}", &header[..end]);
            }
        }
    }

    #[test]
    fn all_else_is_refused() {
        let mut too_long = v2(0x21, 0x11, &v4_addresses());
        too_long[14] = 0xff;
        for wrong in [
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            b"\x16\x03\x01".to_vec(),
            b"PROXYxUNKNOWN\r\n".to_vec(),
            b"PROXY UNKNOWN\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 12345\r\n".to_vec(),
            b"PROXY TCP4 2001:db8::7 ::1 12345 80\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 123456 80\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 12345 80 more\r\n".to_vec(),
            b"PROXY TCP5 192.0.2.7 10.0.0.1 12345 80\r\n".to_vec(),
            b"PROXY TCP4 \xff 10.0.0.1 12345 80\r\n".to_vec(),
            [b"PROXY UNKNOWN ".to_vec(), vec![b'a'; 200]].concat(),
            v2(0x31, 0x11, &v4_addresses()),
            v2(0x22, 0x11, &v4_addresses()),
            v2(0x21, 0x41, &v4_addresses()),
            v2(0x21, 0x11, &v4_addresses()[..11]),
            v2(0x21, 0x21, &v4_addresses()),
            v2(0x21, 0x31, &[0; 10]),
            too_long,
        ] {
            assert_eq!(read(&wrong), Err(NOT_THERE), "{wrong:?}");
        }
    }
}
