//! The checks behind `/ready`: they run in the background, on a thread that serves no requests, and
//! report what they find; a probe reads what was reported last.

#[cfg(feature = "check-http")]
mod http;
#[cfg(feature = "check-postgres")]
mod postgres;
#[cfg(feature = "check-redis")]
mod redis;
mod tcp;

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use actix_rt::{Arbiter, time};
use anyhow::bail;
use berth_config::{Protocol, ReadinessCheck};
use berth_handlers::{
    Dependency, Health,
    readiness::{Cause, Check, Status, Terms, Watched},
};
use berth_metrics::prometheus::{
    self, GaugeVec, IntGaugeVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use futures_util::FutureExt as _;

/// The checks that the settings name, and those of the handlers.
pub(crate) fn dependencies(checks: &[ReadinessCheck]) -> anyhow::Result<Vec<Dependency>> {
    let mut all = Vec::new();
    for check in checks {
        all.push(Dependency {
            terms: Terms {
                name: check.name.clone(),
                interval: check.interval,
                timeout: check.timeout,
                failure_threshold: check.failure_threshold,
                success_threshold: check.success_threshold,
                required: check.required,
            },
            check: asking(check)?,
        });
    }
    for own in berth_handlers::dependencies() {
        if all.iter().any(|check| check.terms.name == own.terms.name) {
            bail!(
                "readiness.checks: the name \"{}\" is taken by a check of the program; choose another one",
                own.terms.name
            );
        }
        all.push(own);
    }
    Ok(all)
}

/// How to ask, as far as this program was built with it.
fn asking(check: &ReadinessCheck) -> anyhow::Result<Box<dyn Check>> {
    Ok(match check.target.protocol() {
        Protocol::Tcp => tcp::new(check),
        #[cfg(feature = "check-http")]
        Protocol::Http => http::plain(check),
        #[cfg(feature = "check-https")]
        Protocol::Https => http::tls(check)?,
        #[cfg(feature = "check-redis")]
        Protocol::Redis => redis::new(check),
        #[cfg(feature = "check-postgres")]
        Protocol::Postgres => postgres::new(check),
        #[allow(unreachable_patterns, reason = "with every feature, nothing is left")]
        _ => bail!(
            "readiness.checks: \"{}\" asks {}, and this program was built without that; \
             build it with the cargo feature check-http, check-https, check-redis or check-postgres",
            check.name,
            check.target
        ),
    })
}

/// Starts to look at each of `dependencies`, at once and then again and again, until the process
/// ends.
pub(crate) fn watch(dependencies: Vec<Dependency>) -> Vec<Arc<Watched>> {
    let watched: Vec<_> = dependencies
        .into_iter()
        .map(|Dependency { terms, check }| (Watched::new(terms), check))
        .collect();
    let handles = watched
        .iter()
        .map(|(watched, _)| Arc::clone(watched))
        .collect();
    if !watched.is_empty() {
        // A thread of its own, because a check in the program's own code may block it.
        Arbiter::new().spawn_fn(move || {
            for (watched, check) in watched {
                actix_rt::spawn(look_again_and_again(watched, check));
            }
        });
    }
    handles
}

async fn look_again_and_again(watched: Arc<Watched>, mut check: Box<dyn Check>) {
    loop {
        let start = Instant::now();
        look(&watched, check.as_mut()).await;
        // Not in step with a hundred other pods that were started at the same moment; and never
        // later than the interval says.
        let jitter = 0.8 + 0.2 * fastrand::f64();
        let pause = watched.terms().interval.mul_f64(jitter);
        time::sleep(pause.saturating_sub(start.elapsed())).await;
    }
}

async fn look(watched: &Watched, check: &mut dyn Check) {
    let terms = watched.terms();
    let start = Instant::now();
    let attempt = AssertUnwindSafe(async { check.check().await }).catch_unwind();
    let outcome: Result<(), Cause> = match time::timeout(terms.timeout, attempt).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_panic)) => Err("the check panicked".into()),
        Err(_) => Err(format!(
            "no answer within {}",
            humantime::format_duration(terms.timeout)
        )
        .into()),
    };
    let change = watched.report(outcome.is_ok(), start.elapsed());
    let name = &terms.name;
    match (change, outcome) {
        (Some(Status::Failed), Err(cause)) => {
            let effect = if terms.required {
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
pub(crate) struct CheckMetrics {
    health: Arc<Health>,
    up: IntGaugeVec,
    duration: GaugeVec,
}

impl CheckMetrics {
    pub(crate) fn new(health: Arc<Health>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            health,
            up: IntGaugeVec::new(
                Opts::new(
                    "berth_readiness_check",
                    "1 while the readiness check passes, else 0.",
                ),
                &["name"],
            )?,
            duration: GaugeVec::new(
                Opts::new(
                    "berth_readiness_check_duration_seconds",
                    "How long the last attempt of the readiness check took.",
                ),
                &["name"],
            )?,
        })
    }
}

impl Collector for CheckMetrics {
    fn desc(&self) -> Vec<&Desc> {
        [self.up.desc(), self.duration.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        for dependency in self.health.dependencies() {
            let known = dependency.known();
            let name = [dependency.terms().name.as_str()];
            self.up
                .with_label_values(&name)
                .set((known.status == Status::Ok).into());
            let took = known.last.map_or(Duration::ZERO, |(_, took)| took);
            self.duration
                .with_label_values(&name)
                .set(took.as_secs_f64());
        }
        [self.up.collect(), self.duration.collect()].concat()
    }
}
