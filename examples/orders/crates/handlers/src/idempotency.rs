//! `Idempotency-Key`: a request that is repeated gets the answer that the first one got.
//!
//! The key is kept in the transaction that keeps the order: both are there, or neither. The second of two at once
//! waits at the key until the first has committed, and then finds its answer.

use std::{
    future::{Ready, ready},
    time::Duration,
};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse, dev::Payload, http::header, rt::time::timeout,
};
use berth_kit::{NO_STORE, Problem, Result, StopToken};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;

use crate::{
    db::Db,
    error::Error,
    store::{NewOrder, Order},
};

const HEADER: &str = "Idempotency-Key";

/// How often to look for keys that have been kept long enough.
const CLEANING: Duration = Duration::from_secs(30);

/// The header of this name, where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(pub Option<String>);

impl FromRequest for IdempotencyKey {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let mut values = request.headers().get_all(HEADER);
        let key = match (values.next(), values.next()) {
            (None, _) => Ok(Self(None)),
            (Some(value), None) => match value.to_str() {
                Ok(key) if (1..=255).contains(&key.len()) => Ok(Self(Some(key.to_owned()))),
                _ => Err("must have 1 to 255 printable ASCII characters"),
            },
            (Some(_), Some(_)) => Err("may be given only once"),
        };
        ready(key.map_err(|why| Problem::bad_request(format!("{HEADER} {why}"))))
    }
}

/// The answer to an order, as it is sent and kept.
#[derive(Debug, Clone)]
pub struct Answer(String);

#[derive(serde::Deserialize)]
struct Kept {
    id: String,
    version: i64,
}

impl Answer {
    /// That it has been taken.
    ///
    /// # Errors
    ///
    /// When it cannot be JSON.
    pub fn of(order: &Order) -> Result<Self, Problem> {
        let json = serde_json::to_string(order).map_err(|error| {
            log::error!("an order cannot be JSON: {error}");
            Problem::internal()
        })?;
        Ok(Self(json))
    }

    /// 201; the same whenever it is sent, but for the header that says so.
    #[must_use]
    pub fn into_response(self, again: bool) -> HttpResponse {
        let mut response = HttpResponse::Created();
        response
            .insert_header(NO_STORE)
            .insert_header((header::CONTENT_TYPE, "application/json"));
        if let Ok(Kept { id, version }) = serde_json::from_str(&self.0) {
            response
                .insert_header((header::LOCATION, format!("/api/v1/orders/{id}")))
                .insert_header((header::ETAG, format!("\"{version}\"")));
        }
        if again {
            response.insert_header(("Idempotent-Replayed", "true"));
        }
        response.body(self.0)
    }
}

/// Takes the key for this order; gives the answer where that has been done before.
///
/// # Errors
///
/// [`Error::KeyReused`] where that was for another order.
pub async fn claim(
    db: &mut PgConnection,
    key: &str,
    order: &NewOrder,
) -> Result<Option<Answer>, Error> {
    let fingerprint = fingerprint(order);
    let taken = sqlx::query(
        "INSERT INTO idempotency_keys (key, fingerprint) VALUES ($1, $2) ON CONFLICT DO NOTHING",
    )
    .bind(key)
    .bind(&fingerprint)
    .execute(&mut *db)
    .await?;
    if taken.rows_affected() == 1 {
        return Ok(None);
    }
    let known: Option<(Vec<u8>, Option<String>)> =
        sqlx::query_as("SELECT fingerprint, answer FROM idempotency_keys WHERE key = $1")
            .bind(key)
            .fetch_optional(db)
            .await?;
    match known {
        Some((known, Some(answer))) if known == fingerprint => Ok(Some(Answer(answer))),
        Some((_, Some(_))) => Err(Error::KeyReused),
        // It has been cleaned away since.
        Some((_, None)) | None => Err(Error::Busy),
    }
}

/// Keeps the answer with the key.
///
/// # Errors
///
/// When the database does not.
pub async fn keep(db: &mut PgConnection, key: &str, answer: &Answer) -> Result<(), Error> {
    sqlx::query("UPDATE idempotency_keys SET answer = $2 WHERE key = $1")
        .bind(key)
        .bind(&answer.0)
        .execute(db)
        .await?;
    Ok(())
}

/// Of what the order says, however its JSON is written.
fn fingerprint(order: &impl Serialize) -> Vec<u8> {
    Sha256::digest(serde_json::to_vec(order).unwrap_or_default()).to_vec()
}

/// Forgets keys once they are older than `ttl`, until the stop.
///
/// # Errors
///
/// Never: what fails is tried again.
pub async fn clean(db: Db, ttl: Duration, stop: StopToken) -> Result<()> {
    let pause = CLEANING.min(ttl);
    while timeout(pause, stop.requested()).await.is_err() {
        match forget(&db, ttl).await {
            Ok(0) => {}
            Ok(forgotten) => log::debug!("{forgotten} idempotency keys forgotten"),
            Err(error) => log::warn!("idempotency keys are not forgotten: {error}"),
        }
    }
    Ok(())
}

async fn forget(db: &Db, ttl: Duration) -> sqlx::Result<u64> {
    let mut connection = db.acquire().await?;
    let done = sqlx::query(
        "DELETE FROM idempotency_keys WHERE created_at < now() - make_interval(secs => $1)",
    )
    .bind(ttl.as_secs_f64())
    .execute(&mut *connection)
    .await?;
    Ok(done.rows_affected())
}
