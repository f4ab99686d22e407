//! The whole life of the process.
//!
//! ```text
//! start    bind ─ fails ─→ one line that says what to change, exit 1
//! serve    /ready is 200; SIGHUP, or a change of the settings file, reads the settings again
//! SIGTERM or SIGINT, the first
//!          /ready is 503, /health stays 200, answers carry `Connection: close`
//!          keep accepting for shutdown.drain_delay: others still send traffic here
//!          actix's graceful stop: no new connection, idle ones closed, at most
//!          shutdown.timeout for what is in flight
//! end      all answered → exit 0;  requests cut off → logged with their number, exit 1
//! a second signal, at any time → exit at once with 128 + its number
//! ```

use std::{
    cell::Cell,
    future::poll_fn,
    mem::ManuallyDrop,
    net::SocketAddr,
    pin::{Pin, pin},
    process::{self, ExitCode},
    rc::Rc,
    sync::{Arc, OnceLock},
    task::Poll,
    time::Duration,
};

use actix_http::{HttpService, KeepAlive};
use actix_rt::{
    System,
    signal::unix::{Signal, SignalKind, signal},
    time::{self, sleep},
};
use actix_server::Server;
use actix_service::{ServiceFactory as _, fn_factory, map_config};
use actix_web::dev::AppConfig;
use anyhow::Context as _;
use arc_swap::ArcSwap;
use berth_config::{Loaded, Reloaded, Settings, Shutdown, Sources, Workers};
use berth_handlers::Health;
use futures_util::future::{Either, poll_immediate, select};
use tokio::sync::Notify;

use crate::{
    app::{Face, Parts, exposition},
    connection::{Idle, Patience},
    descriptors::{self, Connections},
    listen,
    lobby::{GoingOn, Hall, Lobby},
    logging::{self, Logging},
    management::{self, Management},
    memory,
    readiness::Checks,
    reload::{Figures, InForce, Reloader},
};

/// How long the last log lines may take to get out at the end.
const LOG_FLUSH: Duration = Duration::from_millis(500);

/// The most workers that `server.workers = "auto"` makes: more only cost memory for what a pod gets.
const MAX_AUTO_WORKERS: usize = 8;

/// Enough for every machine and operator there is, and far below what would cost memory.
const MAX_MANAGEMENT_CONNECTIONS: usize = 256;

/// How long a client may take to notice that its connection is being closed.
const LAST_BYTES: Duration = Duration::from_secs(1);

/// How often actix looks whether a worker has drained. It also waits this long before the first look.
const DRAIN_POLL: Duration = Duration::from_secs(1);

/// How long workers have for the last log lines of requests that are cut off.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// How long before the end of the drain the requests are counted that are still in flight.
const LAST_LOOK: Duration = Duration::from_millis(50);

/// Serves until a signal asks to stop, and says how that went.
pub(crate) fn run(sources: Sources, loaded: Loaded) -> ExitCode {
    let logging = match Logging::start(&loaded.settings.log) {
        Ok(logging) => logging,
        Err(error) => {
            eprintln!("{error:#}");
            return ExitCode::from(1);
        }
    };
    let in_force: InForce = Arc::new(ArcSwap::from_pointee(Reloaded {
        loaded,
        pending: Vec::new(),
    }));
    // Never dropped: that would wait for what blocks a thread beside it, such as a resolver without an
    // answer or a file system that hangs, and no signal would end the process.
    let system = ManuallyDrop::new(System::new());
    let ending = system.block_on(serve(sources, &in_force, &logging));
    let code = match ending {
        Ok(0) => {
            log::info!("stopped: every request was answered");
            ExitCode::SUCCESS
        }
        Ok(cut_off) => {
            log::error!(
                "stopped: {cut_off} {} cut off, because shutdown.timeout ({}) was over",
                if cut_off == 1 {
                    "request was"
                } else {
                    "requests were"
                },
                humantime::format_duration(in_force.load().loaded.settings.shutdown.timeout)
            );
            ExitCode::from(1)
        }
        Err(error) => {
            // To stderr as it is, whatever the log's filter and format: a person has to act on it.
            logging.flush(LOG_FLUSH);
            eprintln!("{error:#}");
            ExitCode::from(1)
        }
    };
    logging.flush(LOG_FLUSH);
    code
}

/// Runs the server to its end; returns how many requests were cut off.
async fn serve(sources: Sources, in_force: &InForce, logging: &Logging) -> anyhow::Result<u64> {
    // Before the bind, so that no signal can find the process without its handler.
    let signals = Signals::new().context("cannot listen for signals")?;
    let hangups = signal(SignalKind::hangup()).context("cannot listen for signals")?;

    let start = in_force.load_full();
    let settings = &start.loaded.settings;
    let checks = Checks::start(&settings.readiness.checks)?;
    let health = Arc::new(Health::new(checks.watched()));
    let parts = Parts::new(settings, health, logging)?;
    logging.register(&parts.metrics)?;
    let metrics = parts.metrics.clone();
    logging::log_panics(move || metrics.panicked());
    let reloader = Reloader {
        sources,
        in_force: Arc::clone(in_force),
        checks,
        parts: parts.clone(),
        logging: logging.clone(),
        figures: Figures::new(&parts.metrics)?,
        hangups,
    };

    let stop = Arc::new(Stop {
        parts: parts.clone(),
        logging: logging.clone(),
        in_force: Arc::clone(in_force),
        built_in: settings.shutdown.timeout,
        time_is_up: Notify::new(),
        aborted_in_time: OnceLock::new(),
    });
    let connections = connections(settings);
    let mut server = public(
        settings,
        &parts,
        connections,
        Arc::clone(&stop).on_signal(signals),
    )?;
    let management = match settings.management.port {
        None => None,
        Some(port) => {
            let exposition = exposition(settings);
            let face = management::face(&parts, exposition, Arc::clone(in_force), logging.clone());
            Some(private(
                settings,
                face,
                port,
                connections,
                patience(settings, &parts),
            )?)
        }
    };

    // The first poll starts the workers and the accept loop, and returns when they are up.
    if let Some(ended) = poll_immediate(&mut server).await {
        ended.context("the server ended as it started")?;
    }
    parts.health.started();
    actix_rt::spawn(reloader.run());
    let ended = match select(&mut server, pin!(stop.time_is_up.notified())).await {
        Either::Left((ended, _)) => Some(ended),
        Either::Right(_) => None,
    };
    if let Some(ended) = ended {
        ended.context("the server failed")?;
    } else {
        drop(server);
        // For what its workers have to say of the requests that this cuts off.
        sleep(LAST_WORDS).await;
    }
    let cut_off = stop.cut_off();
    if let Some(management) = management {
        management.stop().await;
    }
    Ok(cut_off)
}

/// Where and how a port is served.
struct Port {
    number: u16,
    /// The setting that names it.
    key: &'static str,
    workers: usize,
    max_connections: usize,
    patience: Patience,
}

fn workers(settings: &Settings) -> usize {
    match settings.server.workers {
        Workers::Fixed(workers) => workers.get(),
        Workers::Auto => num_cpus::get().clamp(1, MAX_AUTO_WORKERS),
    }
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

fn patience(settings: &Settings, parts: &Parts) -> Patience {
    Patience {
        header: settings.server.client_header_timeout,
        request: parts.limits.body_timeout.clone(),
        keep_alive: Some(settings.server.keep_alive).filter(|timeout| !timeout.is_zero()),
    }
}

/// Binds the public port.
fn public(
    settings: &Settings,
    parts: &Parts,
    connections: Connections,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<Server> {
    let config = &settings.server;
    let port = Port {
        number: config.port,
        key: listen::PUBLIC,
        workers: workers(settings),
        max_connections: connections.public,
        patience: patience(settings, parts),
    };
    let (server, addresses) = bind(settings, &parts.public(), &port, Some(Box::pin(stop)))?;
    for address in addresses {
        log::info!(
            "{} {} listening on http://{address} with {} workers",
            settings.app.name,
            settings.app.version,
            port.workers
        );
    }
    if connections.public < config.max_connections {
        log::info!(
            "at most {} connections, not server.max_connections = {}: the limit of descriptors \
             allows no more (ulimit -Hn)",
            connections.public,
            config.max_connections
        );
    }
    if settings.debug.routes {
        log::warn!(
            "debug.routes is on: any client can make this service slow or fail; not for production"
        );
    }
    Ok(server)
}

/// Starts the private port.
fn private(
    settings: &Settings,
    face: Face,
    number: u16,
    connections: Connections,
    patience: Patience,
) -> anyhow::Result<Management> {
    let settings = settings.clone();
    let port = Port {
        number,
        key: listen::MANAGEMENT,
        workers: 1,
        max_connections: connections.private,
        patience,
    };
    Management::start(move || {
        let (server, addresses) = bind(&settings, &face, &port, None)?;
        for address in addresses {
            log::info!("management port on http://{address}");
        }
        Ok(server)
    })
}

/// Binds every address of a port and configures its server; nothing is accepted before that is
/// polled. It ends with `stop`, or when it is told to.
///
/// This is what actix-web's `HttpServer` does, but for the [`Lobby`].
fn bind(
    settings: &Settings,
    face: &Face,
    port: &Port,
    stop: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
) -> anyhow::Result<(Server, Vec<SocketAddr>)> {
    let config = &settings.server;
    let mut server = Server::build()
        .workers(port.workers)
        // actix counts per worker.
        .max_concurrent_connections(port.max_connections.div_ceil(port.workers))
        .shutdown_timeout(settings.shutdown.timeout.as_secs());
    server = match stop {
        Some(stop) => server.shutdown_signal(stop),
        None => server.disable_signals(),
    };
    // Not by actix: see `Idle`.
    let keep_alive = match port.patience.keep_alive {
        Some(_) => KeepAlive::Os,
        None => KeepAlive::Disabled,
    };
    let stopping = server.graceful_shutdown_signal();
    let mut addresses = Vec::new();
    for address in listen::addresses(config, port.number)? {
        let listener = listen::bind(address, config.backlog)
            .map_err(|error| listen::explain(address, &error, port.key))?;
        let address = listener.local_addr()?;
        addresses.push(address);
        let face = face.clone();
        let patience = port.patience.clone();
        let stopping = stopping.clone();
        server = server.listen("http", listener, move || {
            let freed = Rc::new(Notify::new());
            actix_rt::spawn(memory::give_back(Rc::clone(&freed)));
            let going_on = GoingOn::default();
            let guests = Rc::new(Cell::new(0));
            let health = face.health();
            let signal = stopping.clone();
            let idle = Rc::new(Cell::new(Idle::default()));
            let latest = Rc::clone(&idle);
            let http = HttpService::build()
                .graceful_shutdown_signal(move || {
                    latest.take().or(signal.clone(), Arc::clone(&health))
                })
                .keep_alive(keep_alive)
                .client_request_timeout(patience.header)
                .client_disconnect_timeout(LAST_BYTES)
                .local_addr(address)
                .finish(map_config(face.app(going_on.clone()), |()| {
                    AppConfig::default()
                }));
            let (patience, stopping) = (patience.clone(), stopping.clone());
            fn_factory(move || {
                let http = http.new_service(());
                let (idle, going_on) = (Rc::clone(&idle), going_on.clone());
                let (guests, freed) = (Rc::clone(&guests), Rc::clone(&freed));
                let (patience, stopping) = (patience.clone(), stopping.clone());
                async move {
                    Ok::<_, ()>(Lobby(Rc::new(Hall {
                        http: http.await?,
                        idle,
                        going_on,
                        guests,
                        freed,
                        patience,
                        stopping,
                    })))
                }
            })
        })?;
    }
    Ok((server.run(), addresses))
}

/// The stop, from the first signal on.
struct Stop {
    parts: Parts,
    logging: Logging,
    in_force: InForce,
    /// The timeout that actix was started with, and cannot be told to change.
    built_in: Duration,
    /// It is over sooner than actix thinks.
    time_is_up: Notify,
    /// How many requests had been aborted by their clients when the time was up: every abort after
    /// that is one of ours.
    aborted_in_time: OnceLock<u64>,
}

impl Stop {
    /// Completes when actix is to begin its graceful stop.
    async fn on_signal(self: Arc<Self>, mut signals: Signals) {
        let first = signals.next().await;
        let Shutdown {
            drain_delay,
            timeout,
            ..
        } = self.in_force.load().loaded.settings.shutdown;
        self.parts.health.shutting_down();
        log::info!(
            "{}: draining; accepting for another {}, then finishing what is in flight within {}",
            first.name(),
            humantime::format_duration(drain_delay),
            humantime::format_duration(timeout)
        );

        let logging = self.logging.clone();
        actix_rt::spawn(async move {
            let second = signals.next().await;
            log::warn!("{}: the second signal; stopping at once", second.name());
            logging.flush(LOG_FLUSH / 5);
            process::exit(second.exit_code());
        });

        sleep(drain_delay).await;
        // A timeout that has become longer since: actix begins its own so much later.
        let _ = time::timeout(timeout.saturating_sub(self.built_in), self.idle()).await;
        log::info!(
            "stopping; {} requests in flight",
            self.parts.metrics.in_flight()
        );
        actix_rt::spawn(async move {
            let left = timeout.min(self.built_in).max(DRAIN_POLL);
            // Just before the last look.
            sleep(left.saturating_sub(LAST_LOOK)).await;
            let _ = self.aborted_in_time.set(self.parts.metrics.aborted());
            // One that has become shorter: nobody waits for actix's.
            if timeout < self.built_in {
                sleep(LAST_LOOK).await;
                self.time_is_up.notify_one();
            }
        });
    }

    /// Waits until no request is in flight.
    async fn idle(&self) {
        while self.parts.metrics.in_flight() > 0 {
            sleep(LAST_LOOK).await;
        }
    }

    /// Requests that were in flight when the time was up. actix does not say how its drain ended,
    /// so our own counts do.
    fn cut_off(&self) -> u64 {
        let metrics = &self.parts.metrics;
        let dropped = self
            .aborted_in_time
            .get()
            .map_or(0, |before| metrics.aborted() - before);
        // One whose worker is stuck is not even dropped.
        dropped + metrics.in_flight()
    }
}

/// The signals that ask to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

#[derive(Clone, Copy)]
enum StopSignal {
    Terminate,
    Interrupt,
}

impl StopSignal {
    fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        }
    }

    /// 128 + the signal's number, as a shell reports a process that a signal ended.
    fn exit_code(self) -> i32 {
        128 + match self {
            Self::Terminate => 15,
            Self::Interrupt => 2,
        }
    }
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> StopSignal {
        poll_fn(|cx| {
            if self.terminate.poll_recv(cx).is_ready() {
                Poll::Ready(StopSignal::Terminate)
            } else if self.interrupt.poll_recv(cx).is_ready() {
                Poll::Ready(StopSignal::Interrupt)
            } else {
                Poll::Pending
            }
        })
        .await
    }
}
