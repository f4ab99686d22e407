//! Fault injection: a share of the requests is made slow, or fails, so that alerts, retries and
//! timeouts can be rehearsed. Only with `debug.routes` on, and only by way of the management port.

use std::{future::ready, ops::RangeInclusive, time::Duration};

use actix_rt::time::sleep;
use actix_web::{
    Error, HttpResponse,
    body::BoxBody,
    delete,
    dev::{Service, ServiceRequest, ServiceResponse},
    get,
    http::StatusCode,
    put, web,
};
use berth_kit_http::{
    NO_STORE, Problem, RequestContext, ServiceConfig, Temporary,
    duration::{Text, compact, lasting, parse},
};
use berth_kit_telemetry::{
    metrics::{self, Metrics},
    prometheus::{IntCounterVec, Opts},
};
use futures_util::future::Either;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Mounts `/faults`.
pub fn routes(cfg: &mut ServiceConfig<'_>) {
    cfg.service(current).service(inject).service(end);
}

/// How long faults last when nobody says.
const USUAL: Duration = Duration::from_mins(5);

/// How long they may last.
const LONGEST: Duration = Duration::from_hours(24);

/// How much slower a request may be made.
const SLOWEST: Duration = Duration::from_mins(1);

/// The faults of the moment.
pub struct Faults {
    plan: Temporary<Plan>,
    /// What may be affected. Not the probes and not the scrape: they are who has to see it.
    endpoints: Vec<String>,
    injected: IntCounterVec,
}

struct Plan {
    /// Of the requests, in percent.
    share: f64,
    latency: Option<RangeInclusive<Duration>>,
    status: Option<StatusCode>,
    endpoints: Vec<String>,
}

/// What one request gets.
pub struct Fault {
    latency: Duration,
    status: Option<StatusCode>,
}

impl Faults {
    /// No faults yet. `endpoints` are those that may be affected.
    ///
    /// # Errors
    ///
    /// When the metrics have such a counter already.
    pub fn new(endpoints: Vec<String>, metrics: &Metrics) -> Result<Self, metrics::Error> {
        let injected = IntCounterVec::new(
            Opts::new(
                "berth_faults_injected_total",
                "Faults that were injected into requests, by way of /faults.",
            ),
            &["endpoint", "kind"],
        )?;
        for endpoint in &endpoints {
            for kind in ["error", "latency"] {
                injected.with_label_values(&[endpoint.as_str(), kind]);
            }
        }
        metrics.register(injected.clone())?;
        Ok(Self {
            plan: Temporary::default(),
            endpoints,
            injected,
        })
    }

    /// What the request that is being handled gets; mostly nothing.
    pub fn draw(&self) -> Option<Fault> {
        let plan = &self.plan.get()?.value;
        let request = RequestContext::current()?;
        let endpoint = request.route();
        let hit = plan.endpoints.iter().any(|known| known == endpoint)
            && fastrand::f64() * 100.0 < plan.share;
        hit.then(|| {
            let count = |kind| self.injected.with_label_values(&[endpoint, kind]).inc();
            let latency = plan.latency.as_ref().map_or(Duration::ZERO, |range| {
                count("latency");
                let (min, max) = (*range.start(), *range.end());
                min + max.saturating_sub(min).mul_f64(fastrand::f64())
            });
            if plan.status.is_some() {
                count("error");
            }
            Fault {
                latency,
                status: plan.status,
            }
        })
    }

    fn begin(&self, wanted: Wanted) -> Result<(), Problem> {
        let (plan, lasts) = wanted.plan(&self.endpoints)?;
        log::warn!(
            "faults on: {} % of the requests to {} for {}",
            plan.share,
            plan.endpoints.join(", "),
            compact(lasts)
        );
        self.plan.set(plan, lasts, told_off);
        Ok(())
    }

    fn end(&self) {
        if self.plan.end() {
            told_off();
        }
    }

    fn shown(&self) -> Shown {
        let Some(until) = self.plan.get() else {
            return Shown::default();
        };
        let plan = &until.value;
        Shown {
            active: true,
            share: Some(plan.share),
            latency: plan.latency.as_ref().map(|range| {
                if range.start() == range.end() {
                    Latency::Fixed(Text(compact(*range.start())))
                } else {
                    Latency::Between(Between {
                        min: Text(compact(*range.start())),
                        max: Text(compact(*range.end())),
                    })
                }
            }),
            status: plan.status.map(|status| status.as_u16()),
            endpoints: Some(plan.endpoints.clone()),
            ends_in: Some(compact(Duration::from_secs(until.left().as_secs()))),
        }
    }
}

fn told_off() {
    log::warn!("faults off");
}

/// The faults of the moment.
#[derive(Default, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Faults)]
struct Shown {
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0, maximum = 100)]
    share: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    latency: Option<Latency>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 400, maximum = 599)]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, min_items = 1)]
    endpoints: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("4m59s"))]
    ends_in: Option<String>,
}

impl Fault {
    /// Answers late, or with the status, or both. A handler whose answer would not be sent is not
    /// called.
    ///
    /// # Errors
    ///
    /// Those of the service behind it.
    pub fn inject<S>(
        self,
        req: ServiceRequest,
        next: &S,
    ) -> impl Future<Output = Result<ServiceResponse, Error>> + use<S>
    where
        S: Service<ServiceRequest, Response = ServiceResponse<BoxBody>, Error = Error>,
    {
        let answer = match self.status {
            None => Either::Left(next.call(req)),
            Some(status) => {
                let problem = Problem::new(status, "this fault was asked for by way of /faults");
                Either::Right(ready(Ok(req.into_response(problem.to_response()))))
            }
        };
        async move {
            if !self.latency.is_zero() {
                sleep(self.latency).await;
            }
            answer.await
        }
    }
}

/// What is to be injected.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FaultsWanted)]
struct Wanted {
    /// Of the requests, in percent
    #[schema(minimum = 0, maximum = 100)]
    share: f64,
    /// At most 1m
    latency: Option<Latency>,
    #[schema(minimum = 400, maximum = 599)]
    status: Option<u16>,
    /// All that can be affected, where it is left out
    #[schema(min_items = 1, examples(json!(["/api/v1/hello"])))]
    endpoints: Option<Vec<String>>,
    /// At most 1d; 5m where it is left out
    r#for: Option<Text>,
}

/// A duration, or two that it is drawn between.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(as = FaultLatency)]
enum Latency {
    Fixed(Text),
    Between(Between),
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FaultLatencyRange)]
struct Between {
    min: Text,
    max: Text,
}

impl Wanted {
    fn plan(self, allowed: &[String]) -> Result<(Plan, Duration), Problem> {
        if !(0.0..=100.0).contains(&self.share) {
            return refuse("share is in percent, from 0 to 100");
        }
        if self.latency.is_none() && self.status.is_none() {
            return refuse("name a latency, a status, or both");
        }
        let latency = self.latency.map(Latency::range).transpose()?;
        let status = match self.status {
            None => None,
            Some(code) if (400..=599).contains(&code) => StatusCode::from_u16(code).ok(),
            Some(_) => return refuse("status is a number from 400 to 599"),
        };
        let endpoints = self.endpoints.unwrap_or_else(|| allowed.to_vec());
        if endpoints.is_empty() || endpoints.iter().any(|name| !allowed.contains(name)) {
            return refuse(format!(
                "endpoints are one or more of {}; probes and metrics are never affected",
                allowed.join(", ")
            ));
        }
        let lasts = lasting(self.r#for.as_ref(), USUAL, LONGEST)?;
        let plan = Plan {
            share: self.share,
            latency,
            status,
            endpoints,
        };
        Ok((plan, lasts))
    }
}

impl Latency {
    fn range(self) -> Result<RangeInclusive<Duration>, Problem> {
        let (min, max) = match &self {
            Self::Fixed(Text(text)) => (parse(text), parse(text)),
            Self::Between(Between { min, max }) => (parse(&min.0), parse(&max.0)),
        };
        match (min, max) {
            (Some(min), Some(max)) if min <= max && max <= SLOWEST => Ok(min..=max),
            _ => refuse(
                "latency is a duration such as \"250ms\", or { \"min\": \"100ms\", \"max\": \"1s\" }; at most 1m",
            ),
        }
    }
}

fn refuse<T>(detail: impl Into<std::borrow::Cow<'static, str>>) -> Result<T, Problem> {
    Err(Problem::bad_request(detail))
}

/// The faults of the moment
#[utoipa::path(
    operation_id = "faults",
    responses((status = 200, description = "The faults of the moment", body = Shown))
)]
#[get("/faults")]
async fn current(faults: web::Data<Faults>) -> HttpResponse {
    shown(&faults)
}

/// Make a share of the requests slow, or fail, for a while
#[utoipa::path(
    operation_id = "injectFaults",
    request_body = Wanted,
    responses(
        (status = 200, description = "The faults of the moment", body = Shown),
        (status = 400, response = Problem),
        (status = 408, response = Problem),
        (status = 413, response = Problem),
    )
)]
#[put("/faults")]
async fn inject(body: web::Bytes, faults: web::Data<Faults>) -> Result<HttpResponse, Problem> {
    let wanted: Wanted = serde_json::from_slice(&body)
        .map_err(|error| Problem::bad_request(format!("the body: {error}")))?;
    faults.begin(wanted)?;
    Ok(shown(&faults))
}

/// End the faults
#[utoipa::path(
    operation_id = "endFaults",
    responses((status = 200, description = "The faults of the moment", body = Shown))
)]
#[delete("/faults")]
async fn end(faults: web::Data<Faults>) -> HttpResponse {
    faults.end();
    shown(&faults)
}

fn shown(faults: &Faults) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(NO_STORE)
        .json(faults.shown())
}
