//! Where a name is looked up, and in which order.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket},
    path::PathBuf,
    time::Duration,
};

use futures_util::future::join;
use resolv_conf::{Config, ScopedIp};
use tokio::time::timeout;

use crate::{
    Error,
    cache::Cache,
    dns::{Answer, Family, Query},
    hosts,
};

/// Looks names up.
pub(crate) struct Resolver {
    pub(crate) hosts: PathBuf,
    pub(crate) resolv_conf: PathBuf,
    /// Of the name servers.
    pub(crate) port: u16,
    pub(crate) cache: Cache,
}

impl Resolver {
    pub(crate) fn of_the_system() -> Self {
        Self {
            hosts: "/etc/hosts".into(),
            resolv_conf: "/etc/resolv.conf".into(),
            port: 53,
            cache: Cache::default(),
        }
    }

    pub(crate) async fn lookup(&self, host: &str) -> Result<Vec<IpAddr>, Error> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let mut found = hosts::lookup(&self.hosts, host);
        if found.is_empty() && is_localhost(host) {
            found = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        }
        if found.is_empty() {
            found = match self.cache.get(host) {
                Some(kept) => kept,
                None => self.ask(host).await?,
            };
        }
        let mut unique = Vec::with_capacity(found.len());
        for address in found {
            if !unique.contains(&address) {
                unique.push(address);
            }
        }
        unique.sort_by_key(|address| address.is_ipv6() && !has_route(*address));
        Ok(unique)
    }

    async fn ask(&self, host: &str) -> Result<Vec<IpAddr>, Error> {
        // Read each time: a network that changes writes it anew.
        let text = fs::read(&self.resolv_conf).unwrap_or_default();
        // What it has that nobody knows is no reason to do without the rest.
        let (mut config, _) = Config::parse_with_errors(&text);
        config.glibc_normalize();
        let mut failed = None;
        for name in names(host, &config) {
            match self.ask_for(&name, &config).await? {
                Answer::Addresses(addresses, lives) => {
                    self.cache.put(host, &addresses, lives);
                    return Ok(addresses);
                }
                Answer::None => {}
                // Another domain may be another server's.
                Answer::Failed(server) => failed = Some(Error::Failed(server)),
            }
        }
        Err(failed.unwrap_or(Error::NotFound))
    }

    /// Asks for both kinds of address at once. One kind will do.
    async fn ask_for(&self, name: &str, config: &Config) -> Result<Answer, Error> {
        let v4 = self.ask_each(name, Family::V4, config);
        let v6 = async {
            if config.no_aaaa {
                return Ok(Answer::None);
            }
            self.ask_each(name, Family::V6, config).await
        };
        match join(v6, v4).await {
            (Ok(Answer::Addresses(mut v6, lives)), Ok(Answer::Addresses(v4, also))) => {
                v6.extend(v4);
                Ok(Answer::Addresses(v6, lives.min(also)))
            }
            (Ok(found @ Answer::Addresses(..)), _) | (_, Ok(found @ Answer::Addresses(..))) => {
                Ok(found)
            }
            (Err(error), _) | (_, Err(error)) => Err(error),
            (Ok(Answer::None), Ok(other)) | (Ok(other), Ok(_)) => Ok(other),
        }
    }

    /// Asks one server after the other, and all of them again, until one can tell.
    async fn ask_each(&self, name: &str, family: Family, config: &Config) -> Result<Answer, Error> {
        let query = Query::new(name, family).ok_or(Error::NotAName)?;
        let limit = Duration::from_secs(config.timeout.max(1).into());
        let mut failed = None;
        let mut last = "it names no server".to_owned();
        for _ in 0..config.attempts.max(1) {
            for server in config.get_nameservers_or_local() {
                let server = self.address(&server);
                match timeout(limit, query.ask(server, config.use_vc)).await {
                    Ok(Ok(Answer::Failed(why))) => failed = Some(format!("{server}: {why}")),
                    Ok(Ok(answer)) => return Ok(answer),
                    Ok(Err(error)) => last = format!("name server {server}: {error}"),
                    Err(_) => last = format!("name server {server}: not within {limit:?}"),
                }
            }
        }
        failed.map(Answer::Failed).ok_or(Error::NoAnswer(last))
    }

    fn address(&self, server: &ScopedIp) -> SocketAddr {
        match server {
            ScopedIp::V4(address) => SocketAddr::new((*address).into(), self.port),
            ScopedIp::V6(address, scope) => {
                let scope = scope.as_deref().and_then(scope_id).unwrap_or_default();
                SocketAddrV6::new(*address, self.port, 0, scope).into()
            }
        }
    }
}

/// The number of a network interface, by which IPv6 tells link-local addresses apart.
fn scope_id(scope: &str) -> Option<u32> {
    let number = scope.parse().ok();
    let named = || fs::read_to_string(format!("/sys/class/net/{scope}/ifindex")).ok();
    number.or_else(|| named()?.trim().parse().ok())
}

/// The full names that a host may have, in the order in which they are asked for.
fn names(host: &str, config: &Config) -> Vec<String> {
    if let Some(absolute) = host.strip_suffix('.') {
        return vec![absolute.to_owned()];
    }
    let dots = u32::try_from(host.matches('.').count()).unwrap_or(u32::MAX);
    let mut names: Vec<_> = config
        .get_last_search_or_domain()
        .map(|domain| domain.trim_end_matches('.'))
        .filter(|domain| !domain.is_empty())
        .map(|domain| format!("{host}.{domain}"))
        .collect();
    let first = if dots >= config.ndots { 0 } else { names.len() };
    names.insert(first, host.to_owned());
    names
}

/// By RFC 6761, whatever the hosts file and the name servers know.
fn is_localhost(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

/// Whether the system knows a way there. Nothing is sent.
fn has_route(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    UdpSocket::bind((any, 0)).is_ok_and(|socket| socket.connect((address, 9)).is_ok())
}
