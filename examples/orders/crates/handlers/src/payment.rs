//! The payment service, which is asked for the money of an order.

use std::{borrow::Cow, time::Duration};

use anyhow::Context as _;
use backon::{ExponentialBuilder, Retryable as _};
use berth_kit::{Result, StopToken};
use orders_metrics::Metrics;
use reqwest::{Client, Response, StatusCode, Url, redirect::Policy};
use serde::Serialize;
use uuid::Uuid;

use crate::store::OnBehalf;

/// Asks for money.
#[derive(Clone)]
pub struct Payment {
    client: Client,
    url: Url,
    attempts: u32,
    metrics: Metrics,
}

/// What is to be paid.
#[derive(Debug, Serialize)]
pub struct Charge {
    /// For this order; the payment service takes the money of one only once.
    pub order: Uuid,
    /// Who pays.
    pub customer: String,
    /// How much.
    pub amount_cents: i64,
}

/// Why there is no money.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// And there will be none.
    #[error("the payment service refuses: {0}")]
    Refused(StatusCode),
    /// Which may be otherwise in a moment.
    #[error("the payment service does not answer: {0}")]
    Unavailable(Cow<'static, str>),
    /// Which somebody has to look into.
    #[error("the payment service does not understand: {0}")]
    Wrong(StatusCode),
}

impl Payment {
    /// As the settings say; nothing where they name none.
    ///
    /// # Errors
    ///
    /// When the system lets no client be made.
    pub fn new(settings: &orders_config::Payment, metrics: &Metrics) -> Result<Option<Self>> {
        let Some(url) = &settings.url else {
            return Ok(None);
        };
        let client = Client::builder()
            .timeout(settings.timeout)
            .redirect(Policy::none())
            .build()
            .context("cannot make a client for the payment service")?;
        Ok(Some(Self {
            client,
            url: url.expose().clone(),
            attempts: settings.attempts,
            metrics: metrics.clone(),
        }))
    }

    /// Takes the money, with several attempts where it fails; with none after the first once the service stops.
    ///
    /// # Errors
    ///
    /// That of the last attempt.
    pub async fn charge(
        &self,
        charge: &Charge,
        on_behalf: &OnBehalf,
        stop: &StopToken,
    ) -> Result<(), Error> {
        let backoff = ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(1))
            .with_jitter()
            .with_max_times(self.attempts as usize - 1);
        (|| self.attempt(charge, on_behalf))
            .retry(backoff)
            .when(|error| matches!(error, Error::Unavailable(_)) && !stop.is_requested())
            .notify(|error, pause| {
                log::info!("{error}; order {}, again in {pause:?}", charge.order);
            })
            .await
    }

    async fn attempt(&self, charge: &Charge, on_behalf: &OnBehalf) -> Result<(), Error> {
        let mut request = self.client.post(self.url.clone()).json(charge);
        for (name, value) in on_behalf {
            request = request.header(name, value);
        }
        // However often it is asked, also by another instance after this one was killed: once.
        let request = request.header("Idempotency-Key", charge.order.to_string());
        let outcome = match request.send().await {
            Ok(answer) => judge(&answer),
            // Without the URL, which may hold a secret.
            Err(error) => Err(Error::Unavailable(error.without_url().to_string().into())),
        };
        let result = match &outcome {
            Ok(()) => "ok",
            Err(Error::Refused(_)) => "refused",
            Err(Error::Unavailable(_) | Error::Wrong(_)) => "failed",
        };
        self.metrics.charges.with_label_values(&[result]).inc();
        outcome
    }
}

fn judge(answer: &Response) -> Result<(), Error> {
    match answer.status() {
        status if status.is_success() => Ok(()),
        status @ (StatusCode::PAYMENT_REQUIRED | StatusCode::UNPROCESSABLE_ENTITY) => {
            Err(Error::Refused(status))
        }
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            Err(Error::Unavailable(status.to_string().into()))
        }
        status => Err(Error::Wrong(status)),
    }
}
