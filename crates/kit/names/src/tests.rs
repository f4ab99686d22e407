//! Against name servers of their own, on real sockets.

use std::{fmt::Write as _, fs, sync::Arc, time::Duration};

use simple_dns::{
    CLASS, Name, Packet, PacketFlag, Question, RCODE, ResourceRecord,
    rdata::{A, AAAA, CNAME, RData},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, UdpSocket},
    sync::Mutex,
};

use super::{Error, cache::Cache, resolver::Resolver};

/// What a server has been asked: the name, the kind, and by which way.
type Asked = Arc<Mutex<Vec<String>>>;

/// What a server does with a name. The first that fits counts.
#[derive(Clone, Copy)]
enum Does {
    Answers(&'static [[u8; 4]]),
    /// With an address of IPv6, and nothing else.
    AnswersV6,
    /// By way of another name.
    Leads,
    /// By UDP it does not fit.
    IsCut,
    Fails,
    /// First with what nobody has asked for.
    IsForged,
    IsSilent,
}

type Zone = &'static [(&'static str, Does)];

fn reply(question: &[u8], zone: Zone, by_tcp: bool) -> (Vec<Vec<u8>>, String) {
    let packet = Packet::parse(question).unwrap();
    let asked = packet.questions[0].clone();
    let name = asked.qname.to_string();
    let is_v4 = format!("{:?}", asked.qtype).contains("(A)");
    let noted = format!(
        "{name} {} {}",
        if is_v4 { "A" } else { "AAAA" },
        if by_tcp { "tcp" } else { "udp" }
    );
    let does = zone.iter().find(|(known, _)| *known == name);
    let answer = |id: u16, rcode: RCODE, records: Vec<RData<'static>>, is_cut: bool| {
        let mut packet = Packet::new_reply(id);
        packet.set_flags(PacketFlag::RESPONSE);
        if is_cut {
            packet.set_flags(PacketFlag::TRUNCATION);
        }
        *packet.rcode_mut() = rcode;
        packet.questions.push(Question::clone(&asked).into_owned());
        for (count, data) in records.into_iter().enumerate() {
            let ttl = if count == 0 { 1 } else { 300 };
            let name = Name::new("any.test").unwrap();
            packet
                .answers
                .push(ResourceRecord::new(name, CLASS::IN, ttl, data));
        }
        packet.build_bytes_vec().unwrap()
    };
    let v4 = |addresses: &[[u8; 4]]| -> Vec<RData<'static>> {
        let each = addresses.iter().filter(|_| is_v4);
        each.map(|bytes| {
            RData::A(A {
                address: u32::from_be_bytes(*bytes),
            })
        })
        .collect()
    };
    let id = packet.id();
    let replies = match does {
        None => vec![answer(id, RCODE::NameError, vec![], false)],
        Some((_, Does::Answers(addresses))) => {
            vec![answer(id, RCODE::NoError, v4(addresses), false)]
        }
        Some((_, Does::AnswersV6)) => {
            let v6 = (!is_v4).then_some(RData::AAAA(AAAA { address: 1 }));
            vec![answer(id, RCODE::NoError, v6.into_iter().collect(), false)]
        }
        Some((_, Does::Leads)) => {
            let mut records = vec![RData::CNAME(CNAME(Name::new("other.test").unwrap()))];
            records.extend(v4(&[[10, 0, 0, 3]]));
            vec![answer(id, RCODE::NoError, records, false)]
        }
        Some((_, Does::IsCut)) if !by_tcp => vec![answer(id, RCODE::NoError, vec![], true)],
        Some((_, Does::IsCut)) => {
            vec![answer(id, RCODE::NoError, v4(&[[10, 0, 0, 4]; 100]), false)]
        }
        Some((_, Does::Fails)) => vec![answer(id, RCODE::ServerFailure, vec![], false)],
        Some((_, Does::IsForged)) => vec![
            b"no packet".to_vec(),
            answer(
                id.wrapping_add(1),
                RCODE::NoError,
                v4(&[[6, 6, 6, 6]]),
                false,
            ),
            question.to_vec(),
            answer(id, RCODE::NoError, v4(&[[10, 0, 0, 5]]), false),
        ],
        Some((_, Does::IsSilent)) => vec![],
    };
    (replies, noted)
}

/// Starts a name server at this address, with any port or the given one.
async fn serve(address: &str, port: u16, zone: Zone) -> (u16, Asked) {
    let asked = Asked::default();
    // The system draws a port that is free for UDP, and may be taken for TCP.
    let (udp, tcp) = loop {
        let udp = UdpSocket::bind((address, port)).await.unwrap();
        match TcpListener::bind(udp.local_addr().unwrap()).await {
            Ok(tcp) => break (udp, tcp),
            Err(error) => assert_eq!(port, 0, "{error}"),
        }
    };
    let port = udp.local_addr().unwrap().port();
    let noted = Arc::clone(&asked);
    tokio::spawn(async move {
        let mut question = [0; 512];
        loop {
            let (size, client) = udp.recv_from(&mut question).await.unwrap();
            let (replies, what) = reply(&question[..size], zone, false);
            noted.lock().await.push(what);
            for reply in replies {
                udp.send_to(&reply, client).await.unwrap();
            }
        }
    });
    let noted = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = tcp.accept().await.unwrap();
            let size = stream.read_u16().await.unwrap();
            let mut question = vec![0; size.into()];
            stream.read_exact(&mut question).await.unwrap();
            let (replies, what) = reply(&question, zone, true);
            noted.lock().await.push(what);
            let size = u16::try_from(replies[0].len()).unwrap();
            stream
                .write_all(&[&size.to_be_bytes()[..], &replies[0]].concat())
                .await
                .unwrap();
        }
    });
    (port, asked)
}

fn resolver(port: u16, hosts: &str, resolv_conf: &str) -> (Resolver, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("hosts"), hosts).unwrap();
    fs::write(path("resolv.conf"), resolv_conf).unwrap();
    let resolver = Resolver {
        hosts: path("hosts"),
        resolv_conf: path("resolv.conf"),
        port,
        cache: Cache::default(),
    };
    (resolver, folder)
}

async fn found(resolver: &Resolver, host: &str) -> String {
    let mut text = String::new();
    match resolver.lookup(host).await {
        Ok(addresses) => {
            for address in addresses {
                write!(text, "{address} ").unwrap();
            }
        }
        Err(error) => write!(text, "{error:?}").unwrap(),
    }
    text.trim_end().to_owned()
}

#[tokio::test]
async fn addresses_stand_for_themselves_and_the_hosts_file_comes_first() {
    let hosts = "# a comment\n10.1.1.1 shop.test Shop # another\n10.1.1.1 again shop\n\
                 not-an-address shop\n10.1.1.2\tshop\n\n::1 six\n";
    let (resolver, _folder) = resolver(9, hosts, "nameserver 127.0.0.1\noptions attempts:1\n");
    assert_eq!(found(&resolver, "10.9.9.9").await, "10.9.9.9");
    assert_eq!(found(&resolver, "::1").await, "::1");
    assert_eq!(found(&resolver, "SHOP").await, "10.1.1.1 10.1.1.2");
    assert_eq!(found(&resolver, "six").await, "::1");
    assert!(found(&resolver, "localhost").await.contains("127.0.0.1"));
    assert!(
        found(&resolver, "api.localhost")
            .await
            .contains("127.0.0.1")
    );
    assert!(
        found(&resolver, "not-an-address")
            .await
            .starts_with("NoAnswer")
    );
}

#[tokio::test]
async fn search_domains_are_tried_as_ndots_says() {
    const ZONE: Zone = &[
        (
            "db.shop.svc.test",
            Does::Answers(&[[10, 0, 0, 1], [10, 0, 0, 2]]),
        ),
        ("a.b.c", Does::Answers(&[[10, 0, 0, 9]])),
        ("v6.test", Does::AnswersV6),
    ];
    let (port, asked) = serve("127.0.0.1", 0, ZONE).await;
    let conf = "nameserver 127.0.0.1\nsearch svc.test test\noptions ndots:2\nunknown words\n";
    let (resolver, _folder) = resolver(port, "", conf);
    assert_eq!(found(&resolver, "db.shop").await, "10.0.0.1 10.0.0.2");
    assert_eq!(
        *asked.lock().await,
        ["db.shop.svc.test AAAA udp", "db.shop.svc.test A udp"]
    );
    // As many dots as are enough: the name itself is asked for first.
    assert_eq!(found(&resolver, "a.b.c").await, "10.0.0.9");
    assert_eq!(asked.lock().await[2..], ["a.b.c AAAA udp", "a.b.c A udp"]);
    assert_eq!(found(&resolver, "v6").await, "::1");
    assert_eq!(found(&resolver, "missing").await, "NotFound");
    // With a dot at its end a name is whole.
    let before = asked.lock().await.len();
    assert_eq!(found(&resolver, "db.shop.").await, "NotFound");
    assert_eq!(asked.lock().await.len(), before + 2);
}

#[tokio::test]
async fn what_is_no_name_is_not_asked_for() {
    let (port, asked) = serve("127.0.0.1", 0, &[]).await;
    let (resolver, _folder) = resolver(port, "", "nameserver 127.0.0.1\n");
    let long = "a".repeat(64);
    for host in [
        "", ".", "..", "a..b", ".a", "a b", "a\\.b", "ä", "a\0", &long,
    ] {
        assert_eq!(found(&resolver, host).await, "NotAName", "{host}");
    }
    assert!(asked.lock().await.is_empty());
}

#[tokio::test]
async fn an_answer_that_does_not_fit_comes_by_tcp_and_a_forged_one_is_not_taken() {
    const ZONE: Zone = &[
        ("cut.test", Does::IsCut),
        ("forged.test", Does::IsForged),
        ("alias.test", Does::Leads),
    ];
    let (port, asked) = serve("127.0.0.1", 0, ZONE).await;
    let (resolver, _folder) = resolver(port, "", "nameserver 127.0.0.1\n");
    assert_eq!(found(&resolver, "cut.test").await, "10.0.0.4");
    assert!(asked.lock().await.contains(&"cut.test A tcp".to_owned()));
    assert_eq!(found(&resolver, "forged.test").await, "10.0.0.5");
    assert_eq!(found(&resolver, "alias.test").await, "10.0.0.3");
}

#[tokio::test]
async fn answers_are_kept_for_the_shortest_time_to_live() {
    const ZONE: Zone = &[("kept.test", Does::Answers(&[[10, 0, 0, 1], [10, 0, 0, 2]]))];
    let (port, asked) = serve("127.0.0.1", 0, ZONE).await;
    let (resolver, _folder) = resolver(port, "", "nameserver 127.0.0.1\n");
    for _ in 0..10 {
        assert_eq!(found(&resolver, "kept.test").await, "10.0.0.1 10.0.0.2");
    }
    assert_eq!(asked.lock().await.len(), 2);
    // The first record's: one second, where the other has 300.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    found(&resolver, "kept.test").await;
    assert_eq!(asked.lock().await.len(), 4);
}

#[tokio::test]
async fn another_server_is_asked_where_one_fails_is_silent_or_is_not_there() {
    const BAD: Zone = &[("x.test", Does::Fails), ("y.test", Does::IsSilent)];
    const GOOD: Zone = &[
        ("x.test", Does::Answers(&[[10, 0, 0, 1]])),
        ("y.test", Does::Answers(&[[10, 0, 0, 2]])),
    ];
    let (port, bad) = serve("127.0.0.2", 0, BAD).await;
    let (_, good) = serve("127.0.0.3", port, GOOD).await;
    // Nobody is at the first.
    let conf =
        "nameserver 127.0.0.9\nnameserver 127.0.0.2\nnameserver 127.0.0.3\noptions timeout:1\n";
    let (all, _folder) = resolver(port, "", conf);
    assert_eq!(found(&all, "x.test").await, "10.0.0.1");
    assert_eq!(found(&all, "y.test").await, "10.0.0.2");
    assert_eq!(bad.lock().await.len(), 4);
    assert_eq!(good.lock().await.len(), 4);

    let only_bad = "nameserver 127.0.0.2\noptions timeout:1 attempts:1\n";
    let (only, _folder) = resolver(port, "", only_bad);
    let failed = only.lookup("x.test").await.unwrap_err();
    assert_eq!(
        failed,
        Error::Failed(format!("127.0.0.2:{port}: ServerFailure"))
    );
    let silent = only.lookup("y.test").await.unwrap_err();
    assert!(silent.to_string().ends_with("not within 1s"), "{silent}");
}

/// However often and however long nobody answers: no thread, and no socket, once the look-up is dropped.
#[tokio::test]
async fn a_look_up_that_is_dropped_is_gone() {
    const ZONE: Zone = &[("silent.test", Does::IsSilent)];
    let (port, _asked) = serve("127.0.0.1", 0, ZONE).await;
    let (resolver, _folder) = resolver(port, "", "nameserver 127.0.0.1\n");
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    let threads = || fs::read_dir("/proc/self/task").unwrap().count();
    let (files_before, threads_before) = (open(), threads());
    for _ in 0..50 {
        let asking = resolver.lookup("silent.test");
        assert!(
            tokio::time::timeout(Duration::from_millis(5), asking)
                .await
                .is_err()
        );
    }
    // Other tests of this process come and go.
    assert!(open() < files_before + 40, "{} files", open());
    assert!(threads() < threads_before + 40, "{} threads", threads());
}
