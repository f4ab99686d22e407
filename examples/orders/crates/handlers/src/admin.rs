//! `/api/v1/admin`: what only the admin may see.

use actix_web::{HttpResponse, get, web};
use berth_kit::{NO_STORE, Problem};
use serde::Serialize;
use sqlx::FromRow;
use utoipa::ToSchema;

use crate::{db::Db, error::Error};

/// Orders by where they are
#[derive(Debug, Serialize, FromRow, ToSchema)]
struct Stats {
    pending: i64,
    confirmed: i64,
    rejected: i64,
    /// Of all that are confirmed
    revenue_cents: i64,
}

/// How many orders there are
#[utoipa::path(
    security(("bearer" = [])),
    responses((status = 200, description = "All of them", body = Stats), (status = 401, response = Problem))
)]
#[get("/stats")]
pub async fn stats(db: web::Data<Db>) -> Result<HttpResponse, Problem> {
    let mut connection = db.acquire().await.map_err(Error::from)?;
    let stats: Stats = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE status = 'pending') AS pending, \
         count(*) FILTER (WHERE status = 'confirmed') AS confirmed, \
         count(*) FILTER (WHERE status = 'rejected') AS rejected, \
         coalesce(sum(total_cents) FILTER (WHERE status = 'confirmed'), 0)::bigint AS revenue_cents \
         FROM orders",
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(Error::from)?;
    Ok(HttpResponse::Ok().insert_header(NO_STORE).json(stats))
}
