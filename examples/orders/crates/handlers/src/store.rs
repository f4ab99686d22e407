//! Orders, and how they are kept.

use std::collections::BTreeMap;

use garde::Validate;
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgConnection, Type, types::Json};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::Error;

/// What a client orders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOrder {
    /// Who orders: 1 to 64 characters, no control characters
    #[garde(length(chars, min = 1, max = 64), custom(printable))]
    #[schema(
        min_length = 1,
        max_length = 64,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"
    )]
    pub customer: String,
    /// 1 to 50 items
    #[garde(length(min = 1, max = 50), dive)]
    #[schema(min_items = 1, max_items = 50)]
    pub items: Vec<Item>,
}

/// So many of a thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// What: 1 to 32 printable ASCII characters
    #[garde(ascii, length(min = 1, max = 32), custom(printable))]
    #[schema(min_length = 1, max_length = 32, pattern = "^[ -~]*$")]
    pub sku: String,
    /// How many
    #[garde(range(min = 1, max = 1000))]
    #[schema(minimum = 1, maximum = 1000)]
    pub quantity: u32,
    /// Of one, in cents
    #[garde(range(min = 1, max = 10_000_000))]
    #[schema(minimum = 1, maximum = 10_000_000)]
    pub price_cents: u32,
}

/// The database takes no NUL, and nobody wants the others.
fn printable(text: &str, (): &()) -> garde::Result {
    if text.chars().any(char::is_control) {
        return Err(garde::Error::new("has a control character"));
    }
    Ok(())
}

impl NewOrder {
    /// In cents.
    #[must_use]
    pub fn total_cents(&self) -> i64 {
        let of = |item: &Item| i64::from(item.quantity) * i64::from(item.price_cents);
        self.items.iter().map(of).sum()
    }
}

/// Where an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Type, ToSchema)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Status {
    /// Not paid yet.
    Pending,
    /// Paid.
    Confirmed,
    /// Will not be paid.
    Rejected,
}

impl Status {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Rejected => "rejected",
        }
    }
}

/// An order
#[derive(Debug, Clone, Serialize, FromRow, ToSchema)]
pub struct Order {
    /// Greater than that of every order before
    pub id: Uuid,
    /// Whether it is paid
    pub status: Status,
    /// Who has ordered
    pub customer: String,
    /// What
    #[schema(value_type = Vec<Item>)]
    pub items: Json<Vec<Item>>,
    /// Of all items
    pub total_cents: i64,
    /// Changes with the order; its `ETag` is this, in quotes
    pub version: i64,
    /// When it was taken
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it last changed
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// The headers that a later call for this request is to carry.
pub type OnBehalf = BTreeMap<String, String>;

/// Keeps a new order.
///
/// # Errors
///
/// When the database does not.
pub async fn insert(
    db: &mut PgConnection,
    order: &NewOrder,
    on_behalf: &OnBehalf,
) -> Result<Order, Error> {
    let order = sqlx::query_as(
        "INSERT INTO orders (id, customer, items, total_cents, on_behalf) VALUES ($1, $2, $3, $4, $5) RETURNING *",
    )
    .bind(Uuid::now_v7())
    .bind(&order.customer)
    .bind(Json(&order.items))
    .bind(order.total_cents())
    .bind(Json(on_behalf))
    .fetch_one(db)
    .await?;
    Ok(order)
}

/// So many orders older than `before`, the newest first.
///
/// # Errors
///
/// When the database does not answer.
pub async fn page(db: &mut PgConnection, before: Uuid, limit: i64) -> Result<Vec<Order>, Error> {
    let orders = sqlx::query_as("SELECT * FROM orders WHERE id < $1 ORDER BY id DESC LIMIT $2")
        .bind(before)
        .bind(limit)
        .fetch_all(db)
        .await?;
    Ok(orders)
}

/// One order.
///
/// # Errors
///
/// When there is none.
pub async fn find(db: &mut PgConnection, id: Uuid) -> Result<Order, Error> {
    let order = sqlx::query_as("SELECT * FROM orders WHERE id = $1")
        .bind(id)
        .fetch_optional(db)
        .await?;
    order.ok_or(Error::NoSuchOrder(id))
}

/// One order that is pending, and nobody else changes until the transaction ends.
///
/// # Errors
///
/// When there is none, or it is not pending.
pub async fn lock(db: &mut PgConnection, id: Uuid) -> Result<Order, Error> {
    let order: Option<Order> = sqlx::query_as("SELECT * FROM orders WHERE id = $1 FOR UPDATE")
        .bind(id)
        .fetch_optional(db)
        .await?;
    match order {
        None => Err(Error::NoSuchOrder(id)),
        Some(order) if order.status != Status::Pending => {
            Err(Error::NotPending(order.status.as_str()))
        }
        Some(order) => Ok(order),
    }
}

/// Makes a locked order another one.
///
/// # Errors
///
/// When the database does not.
pub async fn update(db: &mut PgConnection, id: Uuid, order: &NewOrder) -> Result<Order, Error> {
    let order = sqlx::query_as(
        "UPDATE orders SET customer = $2, items = $3, total_cents = $4, version = version + 1, updated_at = now() \
         WHERE id = $1 RETURNING *",
    )
    .bind(id)
    .bind(&order.customer)
    .bind(Json(&order.items))
    .bind(order.total_cents())
    .fetch_one(db)
    .await?;
    Ok(order)
}

/// Removes a locked order.
///
/// # Errors
///
/// When the database does not.
pub async fn delete(db: &mut PgConnection, id: Uuid) -> Result<(), Error> {
    sqlx::query("DELETE FROM orders WHERE id = $1")
        .bind(id)
        .execute(db)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_is_of_all_items_and_never_too_large() {
        let item = |quantity, price_cents| Item {
            sku: "NUT".to_owned(),
            quantity,
            price_cents,
        };
        let mut order = NewOrder {
            customer: "Ada".to_owned(),
            items: vec![item(2, 50), item(1, 7)],
        };
        assert_eq!(order.total_cents(), 107);
        order.items = vec![item(1000, 10_000_000); 50];
        assert!(order.validate().is_ok());
        assert_eq!(order.total_cents(), 500_000_000_000);
    }
}
