//! Host names: the hosts file and DNS, as `/etc/hosts` and `/etc/resolv.conf` have them.
//!
//! The C library looks names up by plug-ins that it loads at run time, which a static binary must not rely on: they
//! are of another version of it on another system, and the process dies. And it does so on a thread that nothing can
//! end. Here a look-up is a future: dropped, it is gone.
//!
//! What is asked, in this order: an address stands for itself; the hosts file; then the name servers, for the name
//! with each of the search domains, as `ndots` says. IPv4 and IPv6 are asked at once. Answers are kept for their time
//! to live. `nsswitch.conf`, mDNS and what other plug-ins know are not looked at.
//!
//! This crate knows none of the others.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), berth_kit_names::Error> {
//! for address in berth_kit_names::lookup("localhost").await? {
//!     assert!(address.is_loopback());
//! }
//! # Ok(())
//! # }
//! ```

mod cache;
mod dns;
mod hosts;
mod resolver;
#[cfg(test)]
mod tests;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::LazyLock,
    thread,
};

use tokio::net::TcpStream;

use resolver::Resolver;

/// Why a name has no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No name server could be asked for it.
    #[error("this is not a host name")]
    NotAName,
    /// There is no such name, or it has no address.
    #[error("no such host: neither the hosts file nor DNS has an address for it")]
    NotFound,
    /// The name servers have not answered.
    #[error("DNS has not answered: {0}")]
    NoAnswer(String),
    /// A name server has answered that it cannot tell.
    #[error("DNS has failed: name server {0}")]
    Failed(String),
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error {
            Error::NotAName => io::ErrorKind::InvalidInput,
            Error::NotFound => io::ErrorKind::NotFound,
            Error::NoAnswer(_) => io::ErrorKind::TimedOut,
            Error::Failed(_) => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

static SYSTEM: LazyLock<Resolver> = LazyLock::new(Resolver::of_the_system);

/// The addresses of a host, at least one, each once; those that this machine has no route to come last.
///
/// # Errors
///
/// When it has none, or nobody can tell.
pub async fn lookup(host: &str) -> Result<Vec<IpAddr>, Error> {
    SYSTEM.lookup(host).await
}

/// The same, for whoever cannot wait for a future. On a thread of its own, since the caller's may belong to a runtime.
///
/// # Errors
///
/// As [`lookup`].
pub fn lookup_blocking(host: &str) -> Result<Vec<IpAddr>, Error> {
    // Most hosts that are listened on are addresses.
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    let failed = |error: io::Error| Error::NoAnswer(error.to_string());
    thread::scope(|scope| {
        let asking = thread::Builder::new().spawn_scoped(scope, || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(failed)?;
            runtime.block_on(lookup(host))
        });
        asking
            .map_err(failed)?
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Connects to the first address of a host that takes the connection.
///
/// # Errors
///
/// When the host has no address, or the last of them does not take it.
pub async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut outcome = Err(Error::NotFound.into());
    for address in lookup(host).await? {
        outcome = TcpStream::connect(SocketAddr::new(address, port)).await;
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}
