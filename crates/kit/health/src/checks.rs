//! The checks behind `/ready`: they run in the background, on a thread that serves no requests, and
//! report what they find; a probe reads what was reported last.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use actix_rt::{Arbiter, time};
use berth_kit_settings::ReadinessCheck;
use futures_util::{
    FutureExt as _,
    future::{AbortHandle, AbortRegistration, Abortable},
};
use prometheus::{
    GaugeVec, IntGaugeVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use crate::{
    error::CheckError,
    health::Health,
    probers,
    readiness::{Cause, Check, CheckPolicy, CheckState, Dependency, Status},
};

/// The checks that run: those that the settings name, and those of the program.
pub struct Checks {
    running: Vec<Running>,
}

struct Running {
    watched: Arc<CheckState>,
    /// The settings of a check that they name.
    settings: Option<ReadinessCheck>,
    stop: AbortHandle,
}

impl Checks {
    /// What keeps these from being run, of each of them: what asking it takes was not built in, or is not there.
    #[must_use]
    pub fn faults(checks: &[ReadinessCheck]) -> Vec<CheckError> {
        checks
            .iter()
            .filter_map(|check| probers::of(check).err())
            .collect()
    }

    /// Starts to look at everything, at once and then again and again.
    ///
    /// # Errors
    ///
    /// When two checks have one name, or one asks what this program was built without.
    pub fn start(
        checks: &[ReadinessCheck],
        dependencies: Vec<Dependency>,
    ) -> Result<Self, CheckError> {
        let mut running: Vec<Running> = Vec::new();
        // A thread of their own, because a check in the program's own code may block it.
        let mut thread = None;
        for Dependency { policy, check } in dependencies {
            let name = &policy.name;
            if running
                .iter()
                .any(|known| known.watched.policy().name == *name)
            {
                return Err(CheckError::NameTwice { name: name.clone() });
            }
            let watched = CheckState::new(policy);
            let (stop, stopped) = AbortHandle::new_pair();
            let theirs = Arc::clone(&watched);
            thread.get_or_insert_with(Arbiter::new).spawn_fn(move || {
                actix_rt::spawn(look_until(stopped, theirs, check).boxed_local());
            });
            running.push(Running {
                watched,
                settings: None,
                stop,
            });
        }
        let mut all = Self { running };
        all.change(checks, CheckState::new)?;
        Ok(all)
    }

    /// Looks at these instead of the ones that the settings named before; `new` makes those that
    /// had not been there. Either all of it is done, or nothing.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn change(
        &mut self,
        checks: &[ReadinessCheck],
        new: fn(CheckPolicy) -> Arc<CheckState>,
    ) -> Result<(), CheckError> {
        let mut asked = Vec::new();
        for check in checks {
            let before = self
                .running
                .iter()
                .find(|running| running.watched.policy().name == check.name);
            match before.map(|running| &running.settings) {
                Some(None) => {
                    let name = check.name.clone();
                    return Err(CheckError::NameTaken { name });
                }
                Some(Some(settings)) if settings == check => asked.push(None),
                _ => asked.push(Some(probers::of(check)?)),
            }
        }
        let mut before = std::mem::take(&mut self.running);
        self.running
            .extend(before.extract_if(.., |running| running.settings.is_none()));
        for (check, asked) in checks.iter().zip(asked) {
            let same_name = |running: &Running| running.watched.policy().name == check.name;
            let predecessor = before
                .iter()
                .position(same_name)
                .map(|at| before.swap_remove(at));
            let running = match (asked, predecessor) {
                (None, Some(unchanged)) => unchanged,
                (None, None) => continue,
                (Some(asked), predecessor) => {
                    let watched = match predecessor {
                        Some(predecessor) => {
                            predecessor.stop.abort();
                            predecessor.watched.with_policy(policy(check))
                        }
                        None => new(policy(check)),
                    };
                    let (stop, stopped) = AbortHandle::new_pair();
                    actix_rt::spawn(look_until(stopped, Arc::clone(&watched), asked).boxed_local());
                    Running {
                        watched,
                        settings: Some(check.clone()),
                        stop,
                    }
                }
            };
            self.running.push(running);
        }
        for gone in before {
            gone.stop.abort();
        }
        Ok(())
    }

    /// What is known of each.
    #[must_use]
    pub fn watched(&self) -> Vec<Arc<CheckState>> {
        self.running
            .iter()
            .map(|running| Arc::clone(&running.watched))
            .collect()
    }
}

fn policy(check: &ReadinessCheck) -> CheckPolicy {
    CheckPolicy {
        name: check.name.clone(),
        interval: check.interval,
        timeout: check.timeout,
        failure_threshold: check.failure_threshold,
        success_threshold: check.success_threshold,
        required: check.required,
    }
}

async fn look_until(stopped: AbortRegistration, watched: Arc<CheckState>, check: Box<dyn Check>) {
    // Aborted is how it ends.
    let _ = Abortable::new(look_again_and_again(watched, check), stopped).await;
}

async fn look_again_and_again(watched: Arc<CheckState>, mut check: Box<dyn Check>) {
    loop {
        let start = Instant::now();
        look(&watched, check.as_mut()).await;
        // Not in step with a hundred other pods that were started at the same moment; and never
        // later than the interval says.
        let jitter = 0.8 + 0.2 * fastrand::f64();
        let pause = watched.policy().interval.mul_f64(jitter);
        time::sleep(pause.saturating_sub(start.elapsed())).await;
    }
}

async fn look(watched: &CheckState, check: &mut dyn Check) {
    let policy = watched.policy();
    let start = Instant::now();
    let attempt = AssertUnwindSafe(async { check.check().await }).catch_unwind();
    let outcome: Result<(), Cause> = match time::timeout(policy.timeout, attempt).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_panic)) => Err("the check panicked".into()),
        Err(_) => Err(format!(
            "no answer within {}",
            humantime::format_duration(policy.timeout)
        )
        .into()),
    };
    let change = watched.report(outcome.is_ok(), start.elapsed());
    let name = &policy.name;
    match (change, outcome) {
        (Some(Status::Failed), Err(cause)) => {
            let effect = if policy.required {
                "not ready"
            } else {
                "degraded"
            };
            log::warn!(
                "readiness check {name} failed, the service is {effect}: {}",
                chain(&*cause)
            );
        }
        (Some(_), _) => log::info!("readiness check {name} passed"),
        (None, Err(cause)) => log::debug!("readiness check {name}: {}", chain(&*cause)),
        (None, Ok(())) => {}
    }
}

/// An error with what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some errors repeat their source in their own text.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// `berth_readiness_check` and its duration, as they are at the moment of a scrape.
pub struct CheckMetrics {
    health: Arc<Health>,
    /// Held while they are filled: two scrapes must not take each other's values away.
    figures: Mutex<(IntGaugeVec, GaugeVec)>,
    descriptions: Vec<Desc>,
}

impl CheckMetrics {
    /// The figures of what this knows.
    ///
    /// # Errors
    ///
    /// Never: the names are valid.
    pub fn new(health: Arc<Health>) -> Result<Self, prometheus::Error> {
        let up = IntGaugeVec::new(
            Opts::new(
                "berth_readiness_check",
                "1 while the readiness check passes, else 0.",
            ),
            &["name"],
        )?;
        let duration = GaugeVec::new(
            Opts::new(
                "berth_readiness_check_duration_seconds",
                "How long the last attempt of the readiness check took.",
            ),
            &["name"],
        )?;
        Ok(Self {
            health,
            descriptions: [up.desc(), duration.desc()]
                .concat()
                .into_iter()
                .cloned()
                .collect(),
            figures: Mutex::new((up, duration)),
        })
    }
}

impl Collector for CheckMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner);
        let (up, duration) = &*figures;
        // A check that was taken out of the settings is gone from here, too.
        up.reset();
        duration.reset();
        for dependency in self.health.dependencies().iter() {
            let snapshot = dependency.snapshot();
            let name = [dependency.policy().name.as_str()];
            up.with_label_values(&name)
                .set((snapshot.status == Status::Ok).into());
            let took = snapshot.last.map_or(Duration::ZERO, |(_, took)| took);
            duration.with_label_values(&name).set(took.as_secs_f64());
        }
        [up.collect(), duration.collect()].concat()
    }
}
