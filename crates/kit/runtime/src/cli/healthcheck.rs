//! `berth healthcheck`: asks the server on this machine for `/health`.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use berth_kit_settings::{Server, ServiceSettings, Sources};

use crate::{
    console::complain,
    running::{self, Reachable},
};

/// The time that the whole check may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A little less than that for the network, so that the answer still gets out.
const NETWORK_TIMEOUT: Duration = Duration::from_millis(1800);

/// Asks the server that runs beside this process, else the one that the settings name. `config` is the settings file
/// where the command line has one.
pub(crate) fn run<S: ServiceSettings>(sources: Sources, config: Option<PathBuf>) -> ExitCode {
    let (done, outcome) = mpsc::channel();
    // On a thread of its own, because nothing else bounds how long a host name takes to resolve, or a file to read.
    thread::spawn(move || done.send(check::<S>(&sources, config.as_deref())));
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
fn check<S: ServiceSettings>(sources: &Sources, config: Option<&Path>) -> anyhow::Result<()> {
    // Whatever has become of the settings file since, this is where it listens.
    let at = match running::find(sources.service, config) {
        Some(at) => at,
        None => by_settings(&berth_kit_settings::load_as::<S>(sources)?.0.settings.server)?,
    };
    let deadline = Instant::now() + NETWORK_TIMEOUT;
    let mut outcome = Err(anyhow::anyhow!("the server has no address"));
    for Reachable { address, proxied } in at {
        outcome =
            ask(address, proxied, deadline).with_context(|| format!("http://{address}/health"));
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// Where a server with these settings would be.
fn by_settings(server: &Server) -> anyhow::Result<Vec<Reachable>> {
    if server.port == 0 {
        bail!("server.port is 0, so the server's port cannot be known; set PORT or server.port");
    }
    let found = berth_kit_names::lookup_blocking(&server.host)
        .with_context(|| format!("server.host {} does not resolve", server.host))?;
    let at = |ip| SocketAddr::new(ip, server.port);
    let bound: Vec<_> = found.into_iter().map(at).collect();
    Ok(running::reachable(server, &bound))
}

fn ask(address: SocketAddr, proxied: bool, deadline: Instant) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, left(deadline)?)?;
    stream.set_write_timeout(Some(left(deadline)?))?;
    if proxied {
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
