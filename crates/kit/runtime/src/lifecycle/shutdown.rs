//! The stop, from the first signal to the end.

use std::{process, sync::Arc, time::Duration};

use actix_rt::{
    task::JoinHandle,
    time::{self, Instant, sleep, sleep_until},
};
use actix_server::ServerHandle;
use berth_kit_health::Health;
use berth_kit_settings::Shutdown;
use berth_kit_telemetry::log::Logging;
use berth_kit_transport::Stop;
use futures_util::{
    FutureExt as _,
    future::{Either, select},
};

use crate::{
    lifecycle::{
        error::Failure,
        signals::{Signals, TerminationSignal},
    },
    management::Management,
    reload::InForce,
    tasks::{Cleanup, Tasks, clean_up},
};

/// How long the last log lines may take to get out at the end.
pub(crate) const LOG_FLUSH: Duration = Duration::from_millis(500);

/// How long workers have for their last log lines. The line after them says how the stop went.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// What `on_stop` has in any case.
const CLEAN_UP: Duration = Duration::from_millis(500);

/// How often it is looked whether all connections have ended.
const DRAIN_POLL: Duration = Duration::from_millis(10);

/// How the process ends.
pub(crate) enum Ending {
    Answered,
    /// So many requests were cut off, whether or not the time for them was over.
    Lost {
        requests: usize,
        in_time: bool,
    },
    /// Every request was answered, but these tasks and others of the service's own have failed.
    Failed(Vec<String>),
    NotStarted(TerminationSignal),
}

/// The running service.
pub(crate) struct Running {
    pub(crate) server: JoinHandle<std::io::Result<()>>,
    pub(crate) handle: ServerHandle,
    pub(crate) stop: Arc<Stop>,
    pub(crate) management: Option<Management>,
    pub(crate) tasks: Tasks,
    pub(crate) cleanups: Vec<Cleanup>,
    pub(crate) health: Arc<Health>,
    /// The timeout that actix was started with, and cannot be told to change.
    pub(crate) built_in: Duration,
}

/// Why the service stops: a signal, or a task that has failed, and its error.
type Reason = Result<TerminationSignal, (String, String)>;

impl Running {
    /// Waits for a signal, and stops.
    ///
    /// # Errors
    ///
    /// When the server ends by itself.
    pub(crate) async fn until_the_end(
        mut self,
        mut signals: Signals,
        in_force: &InForce,
        logging: &Logging,
    ) -> Result<Ending, Failure> {
        let reason = self.reason(&mut signals).await?;
        let shutdown = in_force.load().loaded.settings.shutdown.clone();
        // Before anything is told of the stop, so that what it logs of it comes after the reason for it.
        match &reason {
            Ok(signal) => log::info!("{}: the service stops", signal.name()),
            Err((task, error)) => {
                log::error!("task {task} failed, so the service stops: {error}");
            }
        }
        self.health.shutting_down();
        self.stop.drain();
        log::info!(
            "draining; accepting for another {}, then finishing what is in flight within {}",
            humantime::format_duration(shutdown.drain_delay),
            humantime::format_duration(shutdown.timeout)
        );
        let log = logging.clone();
        actix_rt::spawn(
            async move {
                let second = signals.next().await;
                log::warn!("{}: the second signal; stopping at once", second.name());
                log.flush(LOG_FLUSH / 5);
                process::exit(second.exit_code().into());
            }
            .boxed_local(),
        );

        let (in_time, end) = drain(&self.stop, &self.handle, &shutdown, self.built_in).await;
        let requests = self.stop.lost();
        // Where requests are left, this is what cuts them off.
        self.server.abort();
        // Its end waits for the thread that accepts.
        let _ = self.server.await;
        let _ = time::timeout(LAST_WORDS, self.stop.ended()).await;
        let mut failed = self.tasks.stop(end).await;
        // Also where something else has used up the time.
        let end = end.max(Instant::now() + CLEAN_UP);
        failed.extend(clean_up(self.cleanups, end).await);
        if let Err((task, _)) = reason {
            failed.push(task);
        }
        if let Some(management) = self.management {
            management.stop().await;
        }
        Ok(match requests {
            0 if failed.is_empty() => Ending::Answered,
            0 => Ending::Failed(failed),
            _ => Ending::Lost { requests, in_time },
        })
    }

    async fn reason(&mut self, signals: &mut Signals) -> Result<Reason, Failure> {
        let asked = select(Box::pin(signals.next()), Box::pin(self.tasks.failed()));
        match select(&mut self.server, asked).await {
            Either::Left((ended, _)) => {
                ended?.map_err(Failure::Server)?;
                Err(Failure::EndedUnasked)
            }
            Either::Right((Either::Left((signal, _)), _)) => Ok(Ok(signal)),
            Either::Right((Either::Right((failed, _)), _)) => Ok(Err(failed)),
        }
    }
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
