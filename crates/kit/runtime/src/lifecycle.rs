//! The lifecycle of the process.
//!
//! ```text
//! start    signal handlers first of all; settings valid? ── no ─→ every fault on stderr, exit 2
//!          bind ─ fails ─→ one line that says what to change, exit 1
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

use std::{
    mem,
    process::{self, ExitCode},
    sync::Arc,
    time::Duration,
};

use actix_rt::{
    signal::unix::Signal,
    task::spawn_blocking,
    time::{self, Instant, sleep, sleep_until},
};
use actix_server::ServerHandle;
use anyhow::{Context as _, anyhow};
use arc_swap::ArcSwap;
use berth_kit_health::{Checks, Health};
use berth_kit_settings::{Loaded, Log, LogFormat, Reloaded, Settings, Shutdown, Sources};
use berth_kit_telemetry::log::{self as logging, Logging};
use berth_kit_transport::{Serving, Stop};
use futures_util::future::{Either, poll_immediate, select};

use crate::{
    app::{AppState, exposition},
    management::{self, Management},
    ports::Port,
    reload::{Figures, InForce, Reloader},
    service::{Build, Service},
    signals::{Signals, StopSignal},
    tasks::{Tasks, clean_up},
};

/// How long the last log lines may take to get out at the end.
const LOG_FLUSH: Duration = Duration::from_millis(500);

/// How long workers have for the last log lines of requests that are cut off.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// How often it is looked whether all connections have ended.
const DRAIN_POLL: Duration = Duration::from_millis(10);

/// Serves until a signal asks to stop, and says how that went.
pub(crate) async fn run(
    build: Build,
    make: impl FnOnce() -> anyhow::Result<Service>,
    sources: Sources,
    loaded: Loaded,
    signals: Signals,
    hangups: Signal,
) -> ExitCode {
    let logging = match Logging::start(&log_options(&loaded.settings.log)) {
        Ok(logging) => logging,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(1);
        }
    };
    let in_force: InForce = Arc::new(ArcSwap::from_pointee(Reloaded {
        loaded,
        pending: Vec::new(),
    }));
    let code = match serve(build, make, sources, &in_force, &logging, signals, hangups).await {
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
            eprintln!("{error:#}");
            ExitCode::from(1)
        }
    };
    logging.flush(LOG_FLUSH);
    code
}

/// The log's settings, as the log takes them.
pub(crate) fn log_options(settings: &Log) -> logging::Options {
    logging::Options {
        filter: settings.filter.clone(),
        format: match settings.format {
            LogFormat::Text => logging::Format::Text,
            LogFormat::Json => logging::Format::Json,
        },
        access: settings.access,
    }
}

/// How the process ends.
enum Ending {
    Answered,
    /// So many requests were cut off, whether or not the time for them was over.
    Lost {
        requests: usize,
        in_time: bool,
    },
    /// Every request was answered, but these tasks and others of the service's own have failed.
    Failed(Vec<String>),
    NotStarted(StopSignal),
}

/// Runs the server to its end.
async fn serve(
    build: Build,
    make: impl FnOnce() -> anyhow::Result<Service>,
    sources: Sources,
    in_force: &InForce,
    logging: &Logging,
    mut signals: Signals,
    hangups: Signal,
) -> anyhow::Result<Ending> {
    let start = in_force.load_full();
    let settings = &start.loaded.settings;
    let mut service = make()?;
    let dependencies = mem::take(&mut service.dependencies);
    let (tasks, cleanups) = (
        mem::take(&mut service.tasks),
        mem::take(&mut service.cleanups),
    );
    let checks = Checks::start(&settings.readiness.checks, dependencies)?;
    let health = Arc::new(Health::new(checks.watched()));
    let state = AppState::new(build, settings, service, health, logging)?;
    logging.register(&state.metrics)?;
    let metrics = state.metrics.clone();
    logging::log_panics(move || metrics.panicked());
    let reloader = Reloader {
        sources,
        in_force: Arc::clone(in_force),
        checks,
        state: state.clone(),
        logging: logging.clone(),
        figures: Figures::new(&state.metrics)?,
        hangups,
    };

    // A host name may take long to find.
    let bound = settings.clone();
    let port = match interruptible(&mut signals, move || Port::public(&bound)).await? {
        Ok(port) => port?,
        Err(signal) => return Ok(Ending::NotStarted(signal)),
    };
    port.announce(settings);
    let timeout = state.limits.body_timeout.clone();
    let Serving { mut server, stop } = port.serve(settings, state.public(), timeout)?;
    let management = manage(settings, &state, in_force, logging)?;

    // The first poll starts the workers and the accept loop, and returns when they are up.
    if let Some(ended) = poll_immediate(&mut server).await {
        ended.context("the server ended as it started")?;
    }
    let handle = server.handle();
    let server = actix_rt::spawn(server);
    let mut tasks = Tasks::start(tasks, &stop.signal());
    state.health.started();
    actix_rt::spawn(reloader.run());

    let asked = select(Box::pin(signals.next()), Box::pin(tasks.failed()));
    let (why, server) = match select(server, asked).await {
        Either::Left((ended, _)) => {
            ended?.context("the server failed")?;
            return Err(anyhow!("the server has ended without a signal"));
        }
        Either::Right((Either::Left((signal, _)), server)) => (Ok(signal), server),
        Either::Right((Either::Right((failed, _)), server)) => (Err(failed), server),
    };
    let shutdown = in_force.load().loaded.settings.shutdown.clone();
    state.health.shutting_down();
    stop.drain();
    let reason = match &why {
        Ok(signal) => signal.name().to_owned(),
        Err((task, error)) => {
            log::error!("task {task} failed, so the service stops: {error}");
            format!("task {task}")
        }
    };
    log::info!(
        "{reason}: draining; accepting for another {}, then finishing what is in flight within {}",
        humantime::format_duration(shutdown.drain_delay),
        humantime::format_duration(shutdown.timeout)
    );
    let log = logging.clone();
    actix_rt::spawn(async move {
        let second = signals.next().await;
        log::warn!("{}: the second signal; stopping at once", second.name());
        log.flush(LOG_FLUSH / 5);
        process::exit(second.exit_code().into());
    });

    let (in_time, end) = drain(&stop, &handle, &shutdown, settings.shutdown.timeout).await;
    let requests = stop.lost();
    // Where requests are left, this is what cuts them off.
    server.abort();
    if requests > 0 {
        let _ = time::timeout(LAST_WORDS, all_have_ended(&stop)).await;
    }
    let mut failed = tasks.stop(end).await;
    failed.extend(clean_up(cleanups, end).await);
    if let Err((task, _)) = why {
        failed.push(task);
    }
    if let Some(management) = management {
        management.stop().await;
    }
    Ok(match requests {
        0 if failed.is_empty() => Ending::Answered,
        0 => Ending::Failed(failed),
        _ => Ending::Lost { requests, in_time },
    })
}

/// Runs what may block a thread for long; a signal ends the wait for it.
pub(crate) async fn interruptible<T: Send + 'static>(
    signals: &mut Signals,
    work: impl FnOnce() -> T + Send + 'static,
) -> anyhow::Result<Result<T, StopSignal>> {
    match select(spawn_blocking(work), Box::pin(signals.next())).await {
        Either::Left((done, _)) => Ok(Ok(done?)),
        Either::Right((signal, _)) => Ok(Err(signal)),
    }
}

/// Starts the management port, where there is one.
fn manage(
    settings: &Settings,
    state: &AppState,
    in_force: &InForce,
    logging: &Logging,
) -> anyhow::Result<Option<Management>> {
    let Some(number) = settings.management.port else {
        return Ok(None);
    };
    let app = management::app(
        state,
        exposition(settings),
        Arc::clone(in_force),
        logging.clone(),
    )?;
    let (settings, timeout) = (settings.clone(), state.limits.body_timeout.clone());
    Management::start(move || {
        let port = Port::private(&settings, number)?;
        for address in &port.addresses {
            log::info!("management port on http://{address}");
        }
        port.serve(&settings, app, timeout)
    })
    .map(Some)
}

/// Stops the server as `shutdown` says; whether it had drained before its time was over, and when that is.
/// `built_in` is the timeout that actix was started with, and cannot be told to change.
async fn drain(
    stop: &Stop,
    handle: &ServerHandle,
    shutdown: &Shutdown,
    built_in: Duration,
) -> (bool, Instant) {
    sleep(shutdown.drain_delay).await;
    // Without any time, there is still some for what is at its end.
    let timeout = shutdown.timeout.max(DRAIN_POLL * 5);
    let end = Instant::now() + timeout;
    stop.close(timeout).await;
    log::info!("stopping; {} requests in flight", stop.in_flight());
    let drained = async {
        // A timeout that has become longer since the start: actix begins its own so much later.
        let longer = sleep_until(end - built_in.min(timeout));
        let all = all_have_ended(stop);
        if let Either::Left(_) = select(Box::pin(all), Box::pin(longer)).await {
            return;
        }
        // It looks once a second, and we more often.
        select(Box::pin(handle.stop(true)), Box::pin(all_have_ended(stop))).await;
    };
    let ended = select(Box::pin(drained), Box::pin(sleep_until(end))).await;
    (matches!(ended, Either::Left(_)), end)
}

/// Waits until no connection is open.
async fn all_have_ended(stop: &Stop) {
    while stop.open() > 0 {
        sleep(DRAIN_POLL).await;
    }
}
