//! `GET /api/v1/orders/export`: all orders, as the database gives them.

use std::{sync::Arc, time::Duration};

use actix_web::{HttpResponse, get, web};
use berth_kit::{NO_STORE, Problem, RouteLimits};
use futures_util::{Stream, stream};
use sqlx::PgTransaction;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    db::Db,
    error::{Error, overloaded},
    store::Order,
};

/// Lets so many exports run at a time, so that they leave connections for the others.
#[derive(Debug)]
pub struct Exports(Arc<Semaphore>);

impl Exports {
    /// So many.
    #[must_use]
    pub fn new(max: u32) -> Self {
        Self(Arc::new(Semaphore::new(max as usize)))
    }
}

/// The first rows may take longer than another answer; the rest may take as long as it takes.
fn limits() -> RouteLimits {
    RouteLimits::new()
        .timeout(Duration::from_mins(1))
        .max_body(0)
}

/// All orders, the oldest first, one JSON object on each line
#[utoipa::path(responses(
    (status = 200, description = "All orders of one moment", body = String, content_type = "application/x-ndjson"),
    (status = 503, response = Problem),
))]
#[get("/export", wrap = "limits()")]
pub async fn export(
    db: web::Data<Db>,
    exports: web::Data<Exports>,
) -> Result<HttpResponse, Problem> {
    let permit = Arc::clone(&exports.0)
        .try_acquire_owned()
        .map_err(|_| overloaded("so many exports run already; try again in a moment"))?;
    let mut cursor = Cursor::open(&db, permit).await?;
    // What fails before the first rows is an answer; what fails later can only break it off.
    let first = cursor.fetch().await?;
    Ok(HttpResponse::Ok()
        .insert_header(NO_STORE)
        .content_type("application/x-ndjson")
        .streaming(Box::pin(rows(first, cursor))))
}

fn rows(
    first: Option<web::Bytes>,
    cursor: Cursor,
) -> impl Stream<Item = Result<web::Bytes, Error>> {
    stream::try_unfold((Some(first), cursor), |(first, mut cursor)| async move {
        let rows = match first {
            Some(first) => first,
            None => cursor.fetch().await.inspect_err(|error| {
                log::warn!("an export breaks off: {error:?}");
            })?,
        };
        Ok(rows.map(|rows| (rows, (None, cursor))))
    })
}

/// The rows of one moment, in a transaction that ends with this.
struct Cursor {
    transaction: PgTransaction<'static>,
    _permit: OwnedSemaphorePermit,
}

impl Cursor {
    async fn open(db: &Db, permit: OwnedSemaphorePermit) -> Result<Self, Error> {
        let mut transaction = db.begin().await?;
        sqlx::query("DECLARE export NO SCROLL CURSOR FOR SELECT * FROM orders ORDER BY id")
            .persistent(false)
            .execute(&mut *transaction)
            .await?;
        Ok(Self {
            transaction,
            _permit: permit,
        })
    }

    /// Some more lines; nothing after the last. They are fetched when the client takes them.
    async fn fetch(&mut self) -> Result<Option<web::Bytes>, Error> {
        let orders: Vec<Order> = sqlx::query_as("FETCH 200 FROM export")
            .persistent(false)
            .fetch_all(&mut *self.transaction)
            .await?;
        let mut lines = Vec::new();
        for order in &orders {
            serde_json::to_writer(&mut lines, order)
                .map_err(|error| sqlx::Error::Encode(error.into()))?;
            lines.push(b'\n');
        }
        Ok((!lines.is_empty()).then(|| lines.into()))
    }
}
