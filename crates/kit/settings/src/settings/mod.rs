//! The settings' types, and the list of keys they are read from.

pub(crate) mod checks;
mod hosts;
mod lists;
mod networks;
pub(crate) mod target;

use std::time::Duration;

use checks::ReadinessCheck;
use ipnet::IpNet;

use crate::reading::reader::Reader;
use crate::reading::values::{LogFormat, MaxInFlight, Workers};
use crate::reading::{layers, log_filter, parse};
use crate::service_name::ServiceName;

/// The settings of the service. All of them hold: see [`load`](crate::load()).
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Who the service is.
    pub app: App,
    /// How it takes connections and requests.
    pub server: Server,
    /// How it ends.
    pub shutdown: Shutdown,
    /// What it needs to be ready.
    pub readiness: Readiness,
    /// What it logs.
    pub log: Log,
    /// What Prometheus sees.
    pub metrics: Metrics,
    /// Where machines and operators look in.
    pub management: Management,
    /// What is there for trying things out.
    pub debug: Debug,
}

/// Who the service is. Each text has 1 to 64 characters and no control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// What the service calls itself; by default its [`ServiceName`].
    pub name: String,
    /// The version it reports; by default the one that was built.
    pub version: String,
    /// Where it runs, such as `production`; changes no behaviour.
    pub environment: String,
}

/// How the service takes connections and requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The address to listen on: an IP address (IPv6 without brackets) or a host name.
    pub host: String,
    /// The TCP port to listen on; 0 lets the system pick a free one.
    pub port: u16,
    /// Worker threads.
    pub workers: Workers,
    /// How long an idle connection is kept, 0s (off) to 1h.
    pub keep_alive: Duration,
    /// How long a handler may take before its answer starts, and a request's body to arrive;
    /// 1ms to 1h.
    pub request_timeout: Duration,
    /// How long a client may take to send the head of a request, 1ms to 5m.
    pub client_header_timeout: Duration,
    /// How long nothing may come or go on an upgraded connection, such as a WebSocket, 1s to 24h.
    pub upgrade_idle_timeout: Duration,
    /// The largest request body in bytes, 0 to 1 GiB.
    pub max_body_bytes: usize,
    /// Open connections at one time in the whole process, 1 to 1,000,000.
    pub max_connections: usize,
    /// How many requests may be in flight; None: as many as come.
    pub max_in_flight: Option<MaxInFlight>,
    /// How much memory the process may use before it sheds load, in bytes, 16 MiB to 1 TiB; None: by its cgroup.
    pub memory_budget: Option<u64>,
    /// Connections the kernel holds ready before they are accepted, 1 to 65535.
    pub backlog: u32,
    /// The proxies that are believed who the client is, at most 64 networks.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether they begin each connection with a PROXY header.
    pub proxy_protocol: bool,
}

/// How the service ends. Where `grace_period` is set, the other two fit in it together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shutdown {
    /// How long to keep accepting after the signal, 0s to 10m.
    pub drain_delay: Duration,
    /// How long requests in flight may take after that; whole seconds, 0s to 1h.
    pub timeout: Duration,
    /// What the platform grants between SIGTERM and SIGKILL, 1s to 2h.
    pub grace_period: Option<Duration>,
}

/// What the service needs to be ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// What is asked in the background, at most 32, each with a name of its own.
    pub checks: Vec<ReadinessCheck>,
}

/// What the service logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Which records are written, in `env_logger`'s syntax, which has been checked.
    pub filter: String,
    /// How they are written.
    pub format: LogFormat,
    /// Whether each request is logged.
    pub access: bool,
    /// Whether probes and scrapes that succeed are logged like any other request; else they are records of
    /// the level debug.
    pub probes: bool,
}

/// What Prometheus sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    /// Whether metrics are served.
    pub enabled: bool,
    /// The path they are served at; no other route of the service has it.
    pub path: String,
}

/// Where machines and operators look in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Management {
    /// The address to listen on; the server's where there is none.
    pub host: Option<String>,
    /// The TCP port for metrics, probes and what operators may change; 0 lets the system pick a free
    /// one. Where it is set, metrics are served there only.
    pub port: Option<u16>,
    /// By which other names it may be asked, at most 64, in lower case; a dot before one stands for any names before
    /// it.
    pub allowed_hosts: Vec<String>,
}

/// What is there for trying things out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Debug {
    /// Whether the `/debug` routes exist.
    pub routes: bool,
}

impl Default for Settings {
    /// The built-in defaults of a service named `service`.
    fn default() -> Self {
        let service = ServiceName::new("service");
        let defaults = layers::defaults(service, "0.0.0");
        Self::read(&mut Reader::new(service, defaults, layers::Layer::new()))
    }
}

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

const fn s(count: u64) -> Duration {
    Duration::from_secs(count)
}

impl Settings {
    /// Takes every key there is, in the order of `defaults.toml`. Where the reader found a fault
    /// the default stands in: the caller asks the reader.
    pub(crate) fn read(r: &mut Reader) -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        let settings = Self {
            app: App {
                name: r.take("app.name", parse::label),
                version: r.take("app.version", parse::label),
                environment: r.take("app.environment", parse::label),
            },
            server: Server {
                host: r.take("server.host", parse::host),
                port: r.take("server.port", |raw| parse::integer(raw, 0..=65_535)),
                workers: r.take("server.workers", parse::workers),
                keep_alive: r.take("server.keep_alive", |raw| {
                    parse::duration(raw, s(0)..=s(HOUR))
                }),
                request_timeout: r.take("server.request_timeout", |raw| {
                    parse::duration(raw, ms(1)..=s(HOUR))
                }),
                client_header_timeout: r.take("server.client_header_timeout", |raw| {
                    parse::duration(raw, ms(1)..=s(5 * MINUTE))
                }),
                upgrade_idle_timeout: r.take("server.upgrade_idle_timeout", |raw| {
                    parse::duration(raw, s(1)..=s(24 * HOUR))
                }),
                max_body_bytes: r.take("server.max_body_bytes", |raw| {
                    parse::integer(raw, 0..=1 << 30)
                }),
                max_connections: r.take("server.max_connections", |raw| {
                    parse::integer(raw, 1..=1_000_000)
                }),
                max_in_flight: r.take_optional("server.max_in_flight", parse::max_in_flight),
                memory_budget: r.take_optional("server.memory_budget", |raw| {
                    parse::integer(raw, 16 << 20..=1 << 40)
                }),
                backlog: r.take("server.backlog", |raw| parse::integer(raw, 1..=65_535)),
                trusted_proxies: r.take("server.trusted_proxies", networks::networks),
                proxy_protocol: r.take("server.proxy_protocol", parse::boolean),
            },
            shutdown: Shutdown {
                drain_delay: r.take("shutdown.drain_delay", |raw| {
                    parse::duration(raw, s(0)..=s(10 * MINUTE))
                }),
                timeout: r.take("shutdown.timeout", |raw| {
                    parse::seconds(raw, s(0)..=s(HOUR))
                }),
                grace_period: r.take_optional("shutdown.grace_period", |raw| {
                    parse::duration(raw, s(1)..=s(2 * HOUR))
                }),
            },
            readiness: Readiness {
                checks: checks::take(r),
            },
            log: Log {
                filter: r.take("log.filter", log_filter::log_filter),
                format: r.take("log.format", parse::log_format),
                access: r.take("log.access", parse::boolean),
                probes: r.take("log.probes", parse::boolean),
            },
            metrics: Metrics {
                enabled: r.take("metrics.enabled", parse::boolean),
                path: r.take("metrics.path", parse::metrics_path),
            },
            management: Management {
                host: r.take_optional("management.host", parse::host),
                port: r.take_optional("management.port", |raw| parse::integer(raw, 0..=65_535)),
                allowed_hosts: r.take("management.allowed_hosts", hosts::hosts),
            },
            debug: Debug {
                routes: r.take("debug.routes", parse::boolean),
            },
        };
        settings.check_grace_period(r);
        settings.check_ports(r);
        settings.check_proxies(r);
        settings
    }

    /// Kubernetes kills what is not gone when the grace period ends: a longer drain is never
    /// finished.
    fn check_grace_period(&self, r: &mut Reader) {
        let Shutdown {
            drain_delay,
            timeout,
            grace_period,
        } = self.shutdown;
        let needed = drain_delay + timeout;
        if grace_period.is_none_or(|granted| needed <= granted) {
            return;
        }
        r.refuse(
            "shutdown.grace_period",
            &["shutdown.drain_delay", "shutdown.timeout"],
            format!(
                "must be at least {}, the sum of the other two",
                humantime::format_duration(needed)
            ),
        );
    }

    /// Without proxies nobody would speak their protocol.
    fn check_proxies(&self, r: &mut Reader) {
        if !self.server.proxy_protocol || !self.server.trusted_proxies.is_empty() {
            return;
        }
        r.refuse(
            "server.proxy_protocol",
            &["server.trusted_proxies"],
            "needs server.trusted_proxies: the networks of the proxies that send its headers"
                .to_owned(),
        );
    }

    /// Two listeners cannot have one port.
    fn check_ports(&self, r: &mut Reader) {
        if self.server.port == 0 || self.management.port != Some(self.server.port) {
            return;
        }
        r.refuse(
            "management.port",
            &["server.port"],
            "must not be server.port, too".to_owned(),
        );
    }
}
