//! `berth healthcheck`: asks the server on this machine for `/health`.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs},
    process::ExitCode,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use berth_kit_http::TrustedProxies;
use berth_kit_settings::Server;

use crate::console::complain;

/// The time that the whole check may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A little less than that for the network, so that the answer still gets out.
const NETWORK_TIMEOUT: Duration = Duration::from_millis(1800);

pub(crate) fn run(server: &Server) -> ExitCode {
    let (done, outcome) = mpsc::channel();
    let server = server.clone();
    // On a thread of its own, because nothing else bounds how long a host name takes to resolve.
    thread::spawn(move || done.send(check(&server)));
    match outcome.recv_timeout(TIMEOUT) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            complain(format_args!("unhealthy: {error:#}"));
            ExitCode::from(1)
        }
        Err(_) => {
            complain(format_args!(
                "unhealthy: no answer within {}s",
                TIMEOUT.as_secs()
            ));
            ExitCode::from(1)
        }
    }
}

/// Healthy if one of the addresses answers 200.
fn check(server: &Server) -> anyhow::Result<()> {
    if server.port == 0 {
        bail!("server.port is 0, so the server's port cannot be known; set PORT or server.port");
    }
    let deadline = Instant::now() + NETWORK_TIMEOUT;
    let mut outcome = Err(anyhow::anyhow!("{} has no address", server.host));
    for address in candidates(server)? {
        outcome =
            ask(server, address, deadline).with_context(|| format!("http://{address}/health"));
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// Where a server that listens on `server.host` can be reached from the same machine.
fn candidates(server: &Server) -> anyhow::Result<Vec<SocketAddr>> {
    let loopback = |ip: IpAddr| SocketAddr::new(ip, server.port);
    let v4 = loopback(Ipv4Addr::LOCALHOST.into());
    let v6 = loopback(Ipv6Addr::LOCALHOST.into());
    let bound: Vec<_> = (server.host.as_str(), server.port)
        .to_socket_addrs()
        .with_context(|| format!("server.host {} does not resolve", server.host))?
        .collect();
    Ok(bound
        .into_iter()
        .flat_map(|address| match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => vec![v4],
            // One socket for both families, unless the machine has only one of them.
            IpAddr::V6(ip) if ip.is_unspecified() => vec![v6, v4],
            _ => vec![address],
        })
        .collect())
}

fn ask(server: &Server, address: SocketAddr, deadline: Instant) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, left(deadline)?)?;
    stream.set_write_timeout(Some(left(deadline)?))?;
    let proxies = TrustedProxies::new(&server.trusted_proxies);
    if server.proxy_protocol && proxies.contains(stream.local_addr()?.ip()) {
        // On behalf of nobody.
        stream.write_all(b"PROXY UNKNOWN\r\n")?;
    }
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;

    let mut answer = Vec::new();
    let mut part = [0; 256];
    while !answer.contains(&b'\n') && answer.len() < 1024 {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut part)? {
            0 => break,
            size => answer.extend_from_slice(&part[..size]),
        }
    }
    let line = String::from_utf8_lossy(&answer);
    let line = line.lines().next().unwrap_or_default();
    match line.split(' ').nth(1) {
        Some("200") => Ok(()),
        Some(status) => bail!("status {}", status.escape_debug()),
        None => bail!("no HTTP answer"),
    }
}

/// The time left, which a socket wants to be more than nothing.
fn left(deadline: Instant) -> io::Result<Duration> {
    deadline
        .checked_duration_since(Instant::now())
        .filter(|left| !left.is_zero())
        .ok_or_else(|| io::ErrorKind::TimedOut.into())
}
