//! The ports of the service: how each is bound, and what is served on it.

mod descriptors;
#[cfg(test)]
mod tests;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use actix_service::map_config;
use actix_web::dev::AppConfig;
use berth_kit_http::{Timeout, TrustedProxies};
use berth_kit_memory::Budget;
use berth_kit_settings::{Settings, Workers};
use berth_kit_transport::{
    CONNECTION_MEMORY, Options, ProxyProtocol, Serving, Timeouts, bind,
    listen::{self, Keys},
    serve,
};

use descriptors::Connections;

use crate::app::PortApp;

/// The most workers that `server.workers = "auto"` makes: more only cost memory for what a pod gets.
const MAX_AUTO_WORKERS: usize = 8;

/// Enough for every machine and operator there is, and far below what would cost memory.
const MAX_MANAGEMENT_CONNECTIONS: usize = 256;

/// What the process needs without any connection, in bytes.
const OWN_MEMORY: u64 = 8 << 20;

/// All that the process listens on.
pub(crate) struct Ports {
    pub(crate) public: Port,
    /// The management port, where there is one.
    pub(crate) private: Option<Port>,
}

impl Ports {
    /// Binds them, the public one first. In so much memory.
    pub(crate) fn bind(settings: &Settings, memory: Option<u64>) -> Result<Self, listen::Error> {
        let public = Port::public(settings, memory)?;
        let number = settings.management.port;
        let private = number.map(|number| Port::private(settings, number));
        Ok(Self {
            public,
            private: private.transpose()?,
        })
    }

    /// Says where they are.
    pub(crate) fn announce(&self, settings: &Settings) {
        self.public.announce(settings);
        if let Some(private) = &self.private {
            private.warn_of_skipped();
            for address in &private.addresses {
                log::info!("management port on http://{address}");
            }
        }
    }
}

/// A port that is bound.
pub(crate) struct Port {
    listeners: Vec<TcpListener>,
    pub(crate) addresses: Vec<SocketAddr>,
    /// Why the host's other addresses are missing.
    skipped: Vec<String>,
    workers: usize,
    pub(crate) max_connections: usize,
    /// Proxies may say who the client is before its first byte.
    is_public: bool,
}

impl Port {
    /// The one for clients, in so much memory.
    fn public(settings: &Settings, memory: Option<u64>) -> Result<Self, listen::Error> {
        let connections = connections(settings).public.min(fit(memory));
        let server = &settings.server;
        let port = bind_all(
            settings,
            (&server.host, server.port),
            Keys {
                host: "server.host",
                port: "PORT or server.port",
            },
            workers(settings),
            connections,
        )?;
        Ok(Self {
            is_public: true,
            ..port
        })
    }

    /// The private one, with a worker of its own.
    fn private(settings: &Settings, port: u16) -> Result<Self, listen::Error> {
        let own = settings.management.host.as_deref();
        bind_all(
            settings,
            (own.unwrap_or(&settings.server.host), port),
            Keys {
                host: own.map_or("server.host", |_| "management.host"),
                port: "management.port",
            },
            1,
            connections(settings).private,
        )
    }

    /// The same port once more.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        let listeners = self.listeners.iter().map(TcpListener::try_clone);
        Ok(Self {
            listeners: listeners.collect::<io::Result<_>>()?,
            addresses: self.addresses.clone(),
            skipped: Vec::new(),
            workers: 1,
            max_connections: self.max_connections,
            is_public: self.is_public,
        })
    }

    /// Serves what `app` shows, once the server is polled.
    pub(crate) fn serve(
        self,
        settings: &Settings,
        app: PortApp,
        request_timeout: Timeout,
        memory: Option<Arc<Budget>>,
    ) -> io::Result<Serving> {
        let server = &settings.server;
        let head = server.client_header_timeout;
        let options = Options {
            workers: self.workers,
            max_connections: self.max_connections,
            memory,
            shutdown_timeout: settings.shutdown.timeout,
            timeouts: Timeouts {
                head,
                keep_alive: Some(server.keep_alive).filter(|timeout| !timeout.is_zero()),
                unread: Arc::new(move || head.max(request_timeout.get())),
                upgraded: server.upgrade_idle_timeout,
            },
            proxy_protocol: (server.proxy_protocol && self.is_public).then(|| {
                let proxies = TrustedProxies::new(&server.trusted_proxies);
                ProxyProtocol::from_peers(move |peer| proxies.contains(peer))
            }),
        };
        serve(self.listeners, &options, move || {
            app.watch_worker();
            let factory = map_config(app.app(), |()| AppConfig::default());
            (factory, app.refusals())
        })
    }

    /// Says on which of the host's addresses it is not.
    fn warn_of_skipped(&self) {
        for reason in &self.skipped {
            log::warn!("{reason}; listening without it");
        }
    }

    /// Says where the public one is, and how many it lets in.
    fn announce(&self, settings: &Settings) {
        let (app, server) = (&settings.app, &settings.server);
        self.warn_of_skipped();
        for address in &self.addresses {
            log::info!(
                "{} {} listening on http://{address} with {} workers",
                app.name,
                app.version,
                self.workers
            );
        }
        if self.max_connections < server.max_connections {
            log::info!(
                "at most {} connections, not server.max_connections = {}: {} allows no more",
                self.max_connections,
                server.max_connections,
                if self.max_connections < connections(settings).public {
                    "the memory limit"
                } else {
                    "the limit of descriptors (ulimit -Hn)"
                }
            );
        }
        if settings.debug.routes {
            log::warn!(
                "debug.routes is on: any client can make this service slow or fail; not for production"
            );
        }
    }
}

/// Binds every address of a host, on a port. `keys` are what sets them.
fn bind_all(
    settings: &Settings,
    (host, port): (&str, u16),
    keys: Keys,
    workers: usize,
    max_connections: usize,
) -> Result<Port, listen::Error> {
    let addresses = listen::addresses(host, port, keys)?;
    let bound = bind::all(&addresses, settings.server.backlog, keys)?;
    Ok(Port {
        listeners: bound.listeners,
        addresses: bound.addresses,
        skipped: bound.skipped.iter().map(ToString::to_string).collect(),
        workers,
        max_connections,
        is_public: false,
    })
}

fn workers(settings: &Settings) -> usize {
    match settings.server.workers {
        Workers::Fixed(workers) => workers.get(),
        Workers::Auto => num_cpus::get().clamp(1, MAX_AUTO_WORKERS),
    }
}

/// How many connections fit into so much memory.
fn fit(memory: Option<u64>) -> usize {
    let Some(memory) = memory else {
        return usize::MAX;
    };
    let connections = memory.saturating_sub(OWN_MEMORY) / CONNECTION_MEMORY;
    usize::try_from(connections).unwrap_or(usize::MAX).max(1)
}

/// How many connections each port takes: as many as the settings say, or as there are descriptors.
fn connections(settings: &Settings) -> Connections {
    let wanted = Connections {
        public: settings.server.max_connections,
        private: match settings.management.port {
            None => 0,
            Some(_) => MAX_MANAGEMENT_CONNECTIONS,
        },
    };
    let limit = descriptors::raise_limit();
    let checks = settings.readiness.checks.len();
    wanted.within(limit, workers(settings), checks)
}
