//! The lifecycle of the process.
//!
//! ```text
//! start    signal handlers first of all; settings valid? ── no ─→ every fault on stderr, exit 2
//!          bind both ports ─ fails ─→ one line that says what to change, exit 1
//!          build the service: on both, /health is 200, /ready is 503; a signal ends it at once, exit 0
//! serve    /ready is 200; SIGHUP, or a change of the settings file, reads the settings again
//! SIGTERM or SIGINT, the first
//!          /ready is 503, /health stays 200, answers carry `Connection: close`
//!          keep accepting for shutdown.drain_delay: others still send traffic here
//!          no new connection; what has come is taken on; then actix's graceful stop: idle
//!          connections closed, at most shutdown.timeout for what is in flight; tasks, which were told
//!          at the signal, and then on_stop, last in, first out, within the same time
//! end      all answered → exit 0;  anything cut off → logged with its number, exit 1
//!          never later than drain_delay + timeout + 1.5 s, also where a handler blocks its worker
//! a second signal, at any time → exit at once with 128 + its number
//! ```

mod error;
mod shutdown;
pub(crate) mod signals;
mod starting;

use std::{
    process::ExitCode,
    sync::{Arc, OnceLock},
};

use actix_rt::{
    signal::unix::Signal,
    task::{JoinError, spawn_blocking},
};
use actix_web::web;
use arc_swap::ArcSwap;
use berth_kit_health::{Checks, Health};
use berth_kit_http::Routes;
use berth_kit_memory::{Budget, Limit};
use berth_kit_settings::{Loaded, Reloaded, ServiceSettings, Settings, Sources};
use berth_kit_telemetry::{
    log::{self as logging, Logging},
    metrics::Metrics,
};
use berth_kit_transport::Serving;
use futures_util::{
    FutureExt as _,
    future::{Either, poll_immediate, select},
};

use error::Failure;
use shutdown::{Ending, LOG_FLUSH, Running};
use signals::{Signals, TerminationSignal};

use crate::{
    app::{AppState, MountError},
    console::{complain, with_causes},
    logging::log_options,
    management::{self, Management, ManagementError},
    ports::{Port, Ports},
    reload::{Figures, InForce, Reloader, SettingsReader},
    running,
    runtime::{Build, Runtime},
    tasks::Tasks,
};

/// Serves until a signal asks to stop, and says how that went.
pub(crate) async fn run<S: ServiceSettings>(
    build: Build,
    make: impl AsyncFnOnce(S, &mut Runtime) -> anyhow::Result<Routes>,
    own: S,
    sources: Sources,
    loaded: Loaded,
    signals: Signals,
    hangups: Signal,
) -> ExitCode {
    let logging = match Logging::start(&log_options(&loaded.settings.log)) {
        Ok(logging) => logging,
        Err(error) => {
            complain(error);
            return ExitCode::from(1);
        }
    };
    for variable in &loaded.ignored {
        log::warn!("{variable}");
    }
    let in_force: InForce = Arc::new(ArcSwap::from_pointee(Reloaded {
        loaded,
        pending: Vec::new(),
    }));
    let make = async move |runtime: &mut Runtime| make(own, runtime).await;
    let reader = SettingsReader {
        sources,
        read: |sources| berth_kit_settings::load_as::<S>(sources).map(|(loaded, _)| loaded),
    };
    let code = match serve(build, make, reader, &in_force, &logging, signals, hangups).await {
        Ok(Ending::Answered) => {
            log::info!("stopped: every request was answered");
            ExitCode::SUCCESS
        }
        Ok(Ending::Lost { requests, in_time }) => {
            let timeout = in_force.load().loaded.settings.shutdown.timeout;
            log::error!(
                "stopped: {requests} {} cut off{}",
                if requests == 1 {
                    "request was"
                } else {
                    "requests were"
                },
                if in_time {
                    String::new()
                } else {
                    let timeout = humantime::format_duration(timeout);
                    format!(", because shutdown.timeout ({timeout}) was over")
                }
            );
            ExitCode::from(1)
        }
        Ok(Ending::Failed(names)) => {
            log::error!(
                "stopped: every request was answered, and {} failed or was cut off",
                names.join(", ")
            );
            ExitCode::from(1)
        }
        Ok(Ending::NotStarted(signal)) => {
            log::info!(
                "stopped: {} came before the start was complete",
                signal.name()
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            // To stderr as it is, whatever the log's filter and format: a person has to act on it.
            logging.flush(LOG_FLUSH);
            complain(with_causes(&error));
            ExitCode::from(error.exit_code())
        }
    };
    logging.flush(LOG_FLUSH);
    code
}

/// Runs the server to its end.
async fn serve(
    build: Build,
    make: impl AsyncFnOnce(&mut Runtime) -> anyhow::Result<Routes>,
    reader: SettingsReader,
    in_force: &InForce,
    logging: &Logging,
    mut signals: Signals,
    hangups: Signal,
) -> Result<Ending, Failure> {
    let start = in_force.load_full();
    let settings = &start.loaded.settings;
    let metrics: Arc<OnceLock<web::Data<Metrics>>> = Arc::default();
    let counted = Arc::clone(&metrics);
    logging::log_panics(move || {
        if let Some(metrics) = counted.get() {
            metrics.panicked();
        }
    });

    let limit = settings
        .server
        .memory_budget
        .map_or(Limit::Auto, Limit::Bytes);
    let memory = Budget::new(limit).map(Arc::new);
    let budget = memory.as_ref().and_then(|memory| memory.bytes());
    // A host name may take long to find.
    let bound = settings.clone();
    let bind = move || Ports::bind(&bound, budget);
    let ports = match interruptible(&mut signals, bind).await? {
        Ok(ports) => ports?,
        Err(signal) => return Ok(Ending::NotStarted(signal)),
    };
    ports.announce(settings);
    let at = running::reachable(&settings.server, &ports.public.addresses);
    let _found_by = running::announce(&reader.sources, at).inspect_err(|error| {
        log::debug!("healthcheck has to find this process by its settings: {error}");
    });
    let health = Arc::new(Health::new(Vec::new()));
    let app = async || AppState::starting(build, &start.loaded, Arc::clone(&health), logging).await;
    let mut runtime = Runtime::default();
    let building = make(&mut runtime);
    let routes = match starting::build(building, &mut signals, &ports, settings, app).await? {
        Ok(routes) => routes,
        Err(signal) => return Ok(Ending::NotStarted(signal)),
    };
    let Runtime {
        dependencies,
        metrics: own_metrics,
        tasks,
        cleanups,
    } = runtime;
    let checks = Checks::start(&settings.readiness.checks, dependencies)?;
    health.depend_on(checks.watched());
    let state = AppState::new(build, &start.loaded, routes, own_metrics, health, logging).await?;
    let state = state.shedding(settings, memory.clone())?;
    logging.register(&state.metrics)?;
    let _ = metrics.set(state.metrics.clone());
    let reloader = Reloader {
        reader,
        in_force: Arc::clone(in_force),
        checks,
        state: state.clone(),
        logging: logging.clone(),
        figures: Figures::new(&state.metrics)?,
        hangups,
    };

    let timeout = state.limits.timeout.clone();
    let Ports { public, private } = ports;
    let most = public.max_connections;
    let Serving { mut server, stop } = public.serve(settings, state.public(), timeout, memory)?;
    let connections = Arc::clone(&stop);
    state
        .metrics
        .register_connections(move || connections.open(), most)
        .map_err(MountError::from)?;
    let management = match private {
        Some(port) => Some(manage(port, settings, &state, in_force, logging).await?),
        None => None,
    };

    // The first poll starts the workers and the accept loop, and returns when they are up.
    if let Some(ended) = poll_immediate(&mut server).await {
        ended.map_err(Failure::EndedAtOnce)?;
    }
    let handle = server.handle();
    let server = actix_rt::spawn(server);
    let tasks = Tasks::start(tasks, &stop.token());
    state.health.started();
    // In boxes, as all that the kit spawns: each type of task brings 8 kB of code.
    actix_rt::spawn(Arc::clone(&state.health).keep_beating().boxed_local());
    actix_rt::spawn(reloader.run().boxed_local());

    let running = Running {
        server,
        handle,
        stop,
        management,
        tasks,
        cleanups,
        health: Arc::clone(&state.health),
        built_in: settings.shutdown.timeout,
    };
    running.until_the_end(signals, in_force, logging).await
}

/// Runs what may block a thread for long; a signal ends the wait for it.
pub(crate) async fn interruptible<T: Send + 'static>(
    signals: &mut Signals,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<Result<T, TerminationSignal>, JoinError> {
    match select(spawn_blocking(work), Box::pin(signals.next())).await {
        Either::Left((done, _)) => Ok(Ok(done?)),
        Either::Right((signal, _)) => Ok(Err(signal)),
    }
}

/// Starts the management port.
async fn manage(
    port: Port,
    settings: &Settings,
    state: &AppState,
    in_force: &InForce,
    logging: &Logging,
) -> Result<Management, ManagementError> {
    let app = management::app(state, settings, Arc::clone(in_force), logging.clone()).await?;
    let (settings, timeout) = (settings.clone(), state.limits.timeout.clone());
    Management::start(move || port.serve(&settings, app, timeout, None))
}
