//! How `healthcheck` finds the server that runs beside it: a file in memory that the server holds open. See
//! `docs/decisions/health-check.md`.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
};

use berth_kit_http::TrustedProxies;
use berth_kit_settings::Server;
use serde::{Deserialize, Serialize};

#[cfg(target_os = "linux")]
pub(crate) use linux::{announce, find};

/// Where a server can be reached from the same machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reachable {
    pub(crate) address: SocketAddr,
    /// Whether it expects a PROXY header from there.
    pub(crate) proxied: bool,
}

/// What a server says of itself. (Its environment is known without it.)
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Announcement {
    /// The settings file that it was started with.
    config: Option<PathBuf>,
    at: Vec<Reachable>,
}

/// Where a server that is bound to these addresses can be reached from the same machine.
pub(crate) fn reachable(server: &Server, bound: &[SocketAddr]) -> Vec<Reachable> {
    let proxies = TrustedProxies::new(&server.trusted_proxies);
    let v4 = IpAddr::from(Ipv4Addr::LOCALHOST);
    let v6 = IpAddr::from(Ipv6Addr::LOCALHOST);
    let of = |bound: &SocketAddr| {
        let ips = match bound.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => vec![v4],
            // One socket for both families, unless the machine has only one of them.
            IpAddr::V6(ip) if ip.is_unspecified() => vec![v6, v4],
            ip => vec![ip],
        };
        let port = bound.port();
        ips.into_iter().map(move |ip| SocketAddr::new(ip, port))
    };
    bound
        .iter()
        .flat_map(of)
        .map(|address| Reachable {
            address,
            // Who asks an own address of the machine has that address, too.
            proxied: server.proxy_protocol && proxies.contains(address.ip()),
        })
        .collect()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        env,
        ffi::OsString,
        fs::{self, File},
        io::{self, Write as _},
        os::unix::ffi::{OsStrExt as _, OsStringExt as _},
        path::{Path, PathBuf},
    };

    use berth_kit_settings::{ServiceName, Sources};
    use rustix::fs::{MemfdFlags, memfd_create};

    use super::{Announcement, Reachable};

    /// Says where this process can be reached, as long as the file is open.
    pub(crate) fn announce(sources: &Sources, at: Vec<Reachable>) -> io::Result<File> {
        let config = sources.file.clone();
        let text = serde_json::to_vec(&Announcement { config, at })?;
        let mut file = File::from(memfd_create(
            file_name(sources.service),
            MemfdFlags::CLOEXEC,
        )?);
        file.write_all(&text)?;
        Ok(file)
    }

    /// Where the one server of this service can be reached that has been told all that this process has been told:
    /// the settings file, where one is given, and each variable. `None` where there is none, or several.
    pub(crate) fn find(service: ServiceName, config: Option<&Path>) -> Option<Vec<Reachable>> {
        let told: Vec<_> = env::vars_os()
            .filter(|(name, _)| says_where(service, name))
            .map(|(name, value)| [name.as_bytes(), value.as_bytes()].join(&b'='))
            .collect();
        let own_network = network(Path::new("/proc/self"))?;
        let mut found = fs::read_dir("/proc")
            .ok()?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|process| network(process).as_ref() == Some(&own_network))
            .filter_map(|process| {
                let announcement = announcement(&process, service)?;
                let environment = fs::read(process.join("environ")).ok()?;
                let theirs: Vec<_> = environment.split(|byte| *byte == 0).collect();
                let is_told = told.iter().all(|variable| theirs.contains(&&**variable));
                let is_config = config.is_none() || config == announcement.config.as_deref();
                (is_told && is_config).then_some(announcement.at)
            });
        let one = found.next()?;
        found.next().is_none().then_some(one)
    }

    /// Whether a variable may say where a server is.
    fn says_where(service: ServiceName, name: &OsString) -> bool {
        let prefix = service.prefix();
        name == "PORT"
            || *name == OsString::from(service.config_variable())
            || name.as_bytes().starts_with(prefix.as_bytes())
    }

    fn file_name(service: ServiceName) -> String {
        format!("{service}-server")
    }

    /// The network that a process is in: elsewhere, its addresses are somebody else's.
    fn network(process: &Path) -> Option<PathBuf> {
        fs::read_link(process.join("ns/net")).ok()
    }

    fn announcement(process: &Path, service: ServiceName) -> Option<Announcement> {
        let name = format!("/memfd:{} (deleted)", file_name(service)).into_bytes();
        let name = PathBuf::from(OsString::from_vec(name));
        let file = fs::read_dir(process.join("fd"))
            .ok()?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|file| fs::read_link(file).is_ok_and(|link| link == name))?;
        serde_json::from_slice(&fs::read(file).ok()?).ok()
    }
}

/// Elsewhere there is no such file, and the settings have to say where the server is.
#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use std::{io, path::Path};

    use berth_kit_settings::{ServiceName, Sources};

    use super::{Announcement, Reachable};

    pub(crate) fn announce(sources: &Sources, at: Vec<Reachable>) -> io::Result<Announcement> {
        let config = sources.file.clone();
        Ok(Announcement { config, at })
    }

    pub(crate) fn find(_service: ServiceName, _config: Option<&Path>) -> Option<Vec<Reachable>> {
        None
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::{announce, find};
