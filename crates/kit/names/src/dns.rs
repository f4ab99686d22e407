//! One question to one name server: by UDP, and by TCP where the answer does not fit.

use std::{
    hash::{BuildHasher as _, RandomState},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use simple_dns::{
    CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE, header_buffer,
    rdata::RData,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
};

/// The largest answer by UDP to a question that does not say more.
const MAX_UDP: usize = 512;

/// Which addresses are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

/// What a name server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The addresses, and how long they hold.
    Addresses(Vec<IpAddr>, Duration),
    /// There is no such name, or it has none of these.
    None,
    /// It cannot tell; its own word for why.
    Failed(String),
}

/// A question about a name, which has no dot at its end.
pub(crate) struct Query<'a> {
    name: Name<'a>,
    family: Family,
}

impl<'a> Query<'a> {
    /// `None` where this is no name that could be asked for.
    pub(crate) fn new(name: &'a str, family: Family) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'"');
        let has_labels = name.split('.').all(|label| !label.is_empty());
        let name = (has_labels && name.bytes().all(is_plain)).then(|| Name::new(name))?;
        Some(Self {
            name: name.ok()?,
            family,
        })
    }

    /// Asks one server. The caller limits how long that may take.
    pub(crate) async fn ask(&self, server: SocketAddr, only_tcp: bool) -> io::Result<Answer> {
        // By the system's random numbers: who cannot see the question cannot answer it.
        let [low, high, ..] = RandomState::new().hash_one(server).to_ne_bytes();
        let id = u16::from_ne_bytes([low, high]);
        let question = self.packet(id).map_err(io::Error::other)?;
        if !only_tcp {
            let reply = self.by_udp(server, id, &question).await?;
            let is_cut = header_buffer::has_flags(&reply, PacketFlag::TRUNCATION);
            if !is_cut.unwrap_or_default() {
                return self.read(&reply);
            }
        }
        let reply = by_tcp(server, &question).await?;
        if !self.is_reply(id, &reply) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.read(&reply)
    }

    fn kind(&self) -> TYPE {
        match self.family {
            Family::V4 => TYPE::A,
            Family::V6 => TYPE::AAAA,
        }
    }

    fn packet(&self, id: u16) -> simple_dns::Result<Vec<u8>> {
        let mut packet = Packet::new_query(id);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        let (kind, class) = (QTYPE::TYPE(self.kind()), QCLASS::CLASS(CLASS::IN));
        let question = Question::new(self.name.clone(), kind, class, false);
        packet.questions.push(question);
        packet.build_bytes_vec()
    }

    async fn by_udp(&self, server: SocketAddr, id: u16, question: &[u8]) -> io::Result<Vec<u8>> {
        let any: IpAddr = match server {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        // The system draws the port.
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.connect(server).await?;
        socket.send(question).await?;
        let mut reply = vec![0; MAX_UDP];
        loop {
            let size = socket.recv(&mut reply).await?;
            // What answers another question is no reason to stop waiting for the answer.
            if self.is_reply(id, &reply[..size]) {
                reply.truncate(size);
                return Ok(reply);
            }
        }
    }

    /// Whether this answers the question. One that is cut off may have no end that can be read.
    fn is_reply(&self, id: u16, reply: &[u8]) -> bool {
        let has = |flag| header_buffer::has_flags(reply, flag).unwrap_or_default();
        if header_buffer::id(reply) != Ok(id) || !has(PacketFlag::RESPONSE) {
            return false;
        }
        if has(PacketFlag::TRUNCATION) {
            return true;
        }
        let Ok(packet) = Packet::parse(reply) else {
            return false;
        };
        // A server that knows nothing of the question may leave it out.
        let fits = |question: &Question<'_>| {
            question.qtype == QTYPE::TYPE(self.kind()) && same_name(&question.qname, &self.name)
        };
        match &*packet.questions {
            [] => packet.rcode() != RCODE::NoError,
            questions => questions.iter().all(fits),
        }
    }

    fn read(&self, reply: &[u8]) -> io::Result<Answer> {
        let packet = Packet::parse(reply).map_err(io::Error::other)?;
        match packet.rcode() {
            RCODE::NoError => {}
            RCODE::NameError => return Ok(Answer::None),
            other => return Ok(Answer::Failed(format!("{other:?}"))),
        }
        // The names that lead to the addresses come along, and hold no longer than each of them.
        let lives = packet.answers.iter().map(|record| record.ttl).min();
        let addresses: Vec<IpAddr> = packet
            .answers
            .iter()
            .filter_map(|record| match (&record.rdata, self.family) {
                (RData::A(v4), Family::V4) => Some(Ipv4Addr::from_bits(v4.address).into()),
                (RData::AAAA(v6), Family::V6) => Some(Ipv6Addr::from_bits(v6.address).into()),
                _ => None,
            })
            .collect();
        if addresses.is_empty() {
            return Ok(Answer::None);
        }
        let lives = Duration::from_secs(lives.unwrap_or_default().into());
        Ok(Answer::Addresses(addresses, lives))
    }
}

async fn by_tcp(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    stream
        .write_all(&[&length.to_be_bytes(), question].concat())
        .await?;
    let length = stream.read_u16().await?;
    let mut reply = vec![0; length.into()];
    stream.read_exact(&mut reply).await?;
    Ok(reply)
}

fn same_name(one: &Name<'_>, other: &Name<'_>) -> bool {
    let (one, other) = (one.to_string(), other.to_string());
    one.eq_ignore_ascii_case(&other)
}
