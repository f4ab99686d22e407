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

use berth_kit_settings::{Server, ServiceSettings, Sources};

use crate::{
    console::{complain, with_causes},
    running::{self, Reachable},
};

/// The time that the whole check may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A little less than that for the network, so that the answer still gets out.
const NETWORK_TIMEOUT: Duration = Duration::from_millis(1800);

/// Why the server is not healthy, as far as can be told.
#[derive(Debug, thiserror::Error)]
enum Unhealthy {
    /// Where it is cannot be known.
    #[error(transparent)]
    Settings(#[from] berth_kit_settings::Error),
    #[error("server.port is 0, so the server's port cannot be known; set PORT or server.port")]
    NoPort,
    #[error("server.host {host} does not resolve")]
    NoAddress {
        host: String,
        source: berth_kit_names::Error,
    },
    #[error("the server has no address")]
    Nowhere,
    /// It was asked there.
    #[error("http://{address}/health")]
    Asked {
        address: SocketAddr,
        source: NoHealth,
    },
}

/// What came instead of a 200.
#[derive(Debug, thiserror::Error)]
enum NoHealth {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("status {0}")]
    Status(String),
    #[error("no HTTP answer")]
    NoHttp,
}

/// Asks the server that runs beside this process, else the one that the settings name. `config` is the settings file
/// where the command line has one.
pub(crate) fn run<S: ServiceSettings>(sources: Sources, config: Option<PathBuf>) -> ExitCode {
    let (done, outcome) = mpsc::channel();
    // On a thread of its own, because nothing else bounds how long a host name takes to resolve, or a file to read.
    thread::spawn(move || done.send(check::<S>(&sources, config.as_deref())));
    match outcome.recv_timeout(TIMEOUT) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            complain(format_args!("unhealthy: {}", with_causes(&error)));
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
fn check<S: ServiceSettings>(sources: &Sources, config: Option<&Path>) -> Result<(), Unhealthy> {
    // Whatever has become of the settings file since, this is where it listens.
    let at = match running::find(sources.service, config) {
        Some(at) => at,
        None => by_settings(&berth_kit_settings::load_as::<S>(sources)?.0.settings.server)?,
    };
    let deadline = Instant::now() + NETWORK_TIMEOUT;
    let mut outcome = Err(Unhealthy::Nowhere);
    for Reachable { address, proxied } in at {
        outcome =
            ask(address, proxied, deadline).map_err(|source| Unhealthy::Asked { address, source });
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// Where a server with these settings would be.
fn by_settings(server: &Server) -> Result<Vec<Reachable>, Unhealthy> {
    if server.port == 0 {
        return Err(Unhealthy::NoPort);
    }
    let found =
        berth_kit_names::lookup_blocking(&server.host).map_err(|source| Unhealthy::NoAddress {
            host: server.host.clone(),
            source,
        })?;
    let at = |ip| SocketAddr::new(ip, server.port);
    let bound: Vec<_> = found.into_iter().map(at).collect();
    Ok(running::reachable(server, &bound))
}

fn ask(address: SocketAddr, proxied: bool, deadline: Instant) -> Result<(), NoHealth> {
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
        Some(status) => Err(NoHealth::Status(status.escape_debug().to_string())),
        None => Err(NoHealth::NoHttp),
    }
}

/// The time left, which a socket wants to be more than nothing.
fn left(deadline: Instant) -> io::Result<Duration> {
    deadline
        .checked_duration_since(Instant::now())
        .filter(|left| !left.is_zero())
        .ok_or_else(|| io::ErrorKind::TimedOut.into())
}
