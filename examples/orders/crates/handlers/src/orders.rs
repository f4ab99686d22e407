//! `/api/v1/orders`: the orders.

use actix_web::{
    HttpRequest, HttpResponse, delete, get,
    http::{
        StatusCode,
        header::{self, EntityTag, Header as _, IfMatch},
    },
    post, put, web,
};
use berth_kit::{NO_STORE, Problem, Query, RequestContext, Valid};
use orders_metrics::Metrics;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    db::Db,
    error::Error,
    idempotency::{self, IdempotencyKey},
    store::{self, NewOrder, OnBehalf, Order},
};

/// Orders on a page.
#[derive(Debug, Clone, Copy)]
pub struct PageSizes {
    default: u32,
    max: u32,
}

impl From<&orders_config::Orders> for PageSizes {
    fn from(settings: &orders_config::Orders) -> Self {
        Self {
            default: settings.page_size,
            max: settings.max_page_size,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct PageQuery {
    /// Orders on the page, `orders.page_size` where it is left out, `orders.max_page_size` at most
    #[param(minimum = 1)]
    limit: Option<u32>,
    /// What `next` of the page before was; left out for the first
    #[param(format = "uuid")]
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = OrderPage)]
struct Page {
    /// The newest first
    orders: Vec<Order>,
    /// The cursor of the next page; null where this is the last
    next: Option<Uuid>,
}

/// Orders, page by page, the newest first
#[utoipa::path(
    params(PageQuery),
    responses((status = 200, description = "A page", body = Page), (status = 400, response = Problem))
)]
#[get("")]
pub async fn list(
    db: web::Data<Db>,
    sizes: web::Data<PageSizes>,
    Query(PageQuery { limit, cursor }): Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let (limit, max) = (limit.unwrap_or(sizes.default), sizes.max);
    if !(1..=max).contains(&limit) {
        let detail = format!("'limit' must be from 1 to {max}; this is {limit}");
        return Err(Problem::bad_request(detail));
    }
    let before = match cursor {
        None => Uuid::max(),
        Some(text) => Uuid::try_parse(&text).map_err(|_| {
            Problem::bad_request("'cursor' must be what `next` of another page was, as it was")
        })?,
    };
    let mut connection = db.acquire().await.map_err(Error::from)?;
    // One more tells whether there is a next page.
    let size = limit as usize;
    let mut orders = store::page(&mut connection, before, i64::from(limit) + 1).await?;
    let more = orders.len() > size;
    orders.truncate(size);
    let next = orders.last().filter(|_| more).map(|order| order.id);
    Ok(HttpResponse::Ok()
        .insert_header(NO_STORE)
        .json(Page { orders, next }))
}

/// Order something
#[utoipa::path(
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "One for each order, 1 to 255 printable ASCII \
         characters; a repeated request with it gets the first one's answer"),
    ),
    request_body = NewOrder,
    responses(
        (status = 201, description = "The order", body = Order),
        (status = 409, response = Problem),
        (status = 422, response = Problem),
        (status = 503, response = Problem),
    )
)]
#[post("")]
pub async fn create(
    db: web::Data<Db>,
    metrics: web::Data<Metrics>,
    request: RequestContext,
    IdempotencyKey(key): IdempotencyKey,
    order: Valid<NewOrder>,
) -> Result<HttpResponse, Problem> {
    let on_behalf: OnBehalf = request
        .outbound_headers()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    let mut transaction = db.begin().await.map_err(Error::from)?;
    if let Some(key) = &key
        && let Some(answer) = idempotency::claim(&mut transaction, key, &order).await?
    {
        metrics.replayed.inc();
        return Ok(answer.into_response(true));
    }
    let order = store::insert(&mut transaction, &order, &on_behalf).await?;
    let answer = idempotency::Answer::of(&order)?;
    if let Some(key) = &key {
        idempotency::keep(&mut transaction, key, &answer).await?;
    }
    transaction.commit().await.map_err(Error::from)?;
    metrics.created.inc();
    Ok(answer.into_response(false))
}

/// One order
#[utoipa::path(
    params(("id" = Uuid, Path)),
    responses((status = 200, description = "The order", body = Order), (status = 404, response = Problem))
)]
#[get("/{id}")]
pub async fn show(db: web::Data<Db>, id: web::Path<Uuid>) -> Result<HttpResponse, Problem> {
    let mut connection = db.acquire().await.map_err(Error::from)?;
    let order = store::find(&mut connection, *id).await?;
    Ok(answer(&order))
}

/// Change an order that is pending
#[utoipa::path(
    params(
        ("id" = Uuid, Path),
        ("If-Match" = String, Header, description = "The `ETag` of the order that was read"),
    ),
    request_body = NewOrder,
    responses(
        (status = 200, description = "The order", body = Order),
        (status = 404, response = Problem),
        (status = 409, response = Problem),
        (status = 412, response = Problem),
        (status = 422, response = Problem),
        (status = 428, response = Problem),
    )
)]
#[put("/{id}")]
pub async fn replace(
    db: web::Data<Db>,
    id: web::Path<Uuid>,
    request: HttpRequest,
    order: Valid<NewOrder>,
) -> Result<HttpResponse, Problem> {
    let expected = if_match(&request)?;
    let mut transaction = db.begin().await.map_err(Error::from)?;
    let found = store::lock(&mut transaction, *id).await?;
    if !matches(&expected, &found) {
        return Err(Error::Changed(found.version).into());
    }
    let order = store::update(&mut transaction, *id, &order).await?;
    transaction.commit().await.map_err(Error::from)?;
    Ok(answer(&order))
}

/// Take an order back that is pending
#[utoipa::path(
    params(("id" = Uuid, Path)),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, response = Problem),
        (status = 409, response = Problem),
    )
)]
#[delete("/{id}")]
pub async fn remove(db: web::Data<Db>, id: web::Path<Uuid>) -> Result<HttpResponse, Problem> {
    let mut transaction = db.begin().await.map_err(Error::from)?;
    store::lock(&mut transaction, *id).await?;
    store::delete(&mut transaction, *id).await?;
    transaction.commit().await.map_err(Error::from)?;
    Ok(HttpResponse::NoContent().finish())
}

fn etag(order: &Order) -> EntityTag {
    EntityTag::new_strong(order.version.to_string())
}

fn answer(order: &Order) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(NO_STORE)
        .insert_header(header::ETag(etag(order)))
        .json(order)
}

fn if_match(request: &HttpRequest) -> Result<IfMatch, Problem> {
    if !request.headers().contains_key(header::IF_MATCH) {
        return Err(Problem::new(
            StatusCode::PRECONDITION_REQUIRED,
            "send If-Match with the ETag of the order that you have read, so that nobody's change is lost",
        ));
    }
    match IfMatch::parse(request) {
        // What is no `ETag` is left out.
        Ok(IfMatch::Items(tags)) if tags.is_empty() => Err(()),
        other => other.map_err(drop),
    }
    .map_err(|()| Problem::bad_request("If-Match must be an ETag in quotes, such as \"1\""))
}

fn matches(expected: &IfMatch, order: &Order) -> bool {
    match expected {
        IfMatch::Any => true,
        IfMatch::Items(tags) => tags.iter().any(|tag| tag.strong_eq(&etag(order))),
    }
}
