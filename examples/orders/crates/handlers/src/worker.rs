//! Confirms orders, one after the other, once they are paid.
//!
//! An order is locked while the payment service is asked, and changed in the same transaction. Where this process
//! is killed, the database undoes the transaction and the next worker asks once more, with the same key. Several
//! instances can do this side by side: each skips what another one has locked.

use std::time::Duration;

use actix_web::rt::time::timeout;
use berth_kit::{Result, StopToken};
use orders_metrics::Metrics;
use sqlx::{FromRow, PgPool, types::Json};
use uuid::Uuid;

use crate::{
    payment::{self, Charge, Payment},
    store::OnBehalf,
};

/// The worker.
pub struct Worker {
    /// Where orders are.
    pub pool: PgPool,
    /// Who has to pay.
    pub payment: Payment,
    /// Where it counts.
    pub metrics: Metrics,
    /// How often to look for new orders.
    pub poll_interval: Duration,
}

#[derive(FromRow)]
struct Due {
    id: Uuid,
    customer: String,
    total_cents: i64,
    on_behalf: Json<OnBehalf>,
}

impl Worker {
    /// Works until the stop; finishes what it is at.
    ///
    /// # Errors
    ///
    /// Never: what fails is tried again.
    pub async fn run(self, stop: StopToken) -> Result<()> {
        let mut is_well = true;
        while !stop.is_requested() {
            let done = self.confirm_next(&stop).await;
            // Once, and not at every attempt, while the database is gone.
            match &done {
                Err(error) if is_well => log::warn!("no orders are confirmed: {error}"),
                Ok(_) if !is_well => log::info!("orders are confirmed again"),
                _ => {}
            }
            is_well = done.is_ok();
            // Where there was an order, the next one may be due.
            if !matches!(done, Ok(Some(_))) {
                let _ = timeout(self.poll_interval, stop.requested()).await;
            }
        }
        self.pool.close().await;
        Ok(())
    }

    /// Takes on an order that is due; gives its id, where there is one.
    async fn confirm_next(&self, stop: &StopToken) -> sqlx::Result<Option<Uuid>> {
        let mut transaction = self.pool.begin().await?;
        let due: Option<Due> = sqlx::query_as(
            "SELECT id, customer, total_cents, on_behalf FROM orders \
             WHERE status = 'pending' AND due_at <= now() ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED",
        )
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(due) = due else {
            return Ok(None);
        };
        let charge = Charge {
            order: due.id,
            customer: due.customer,
            amount_cents: due.total_cents,
        };
        let outcome = self.payment.charge(&charge, &due.on_behalf, stop).await;
        let (statement, outcome) = match outcome {
            Ok(()) => (CONFIRM, "confirmed"),
            Err(payment::Error::Refused(_)) => (REJECT, "rejected"),
            Err(error) => {
                log::warn!("{error}; order {} is put off", due.id);
                (PUT_OFF, "put_off")
            }
        };
        sqlx::query(statement)
            .bind(due.id)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        self.metrics.outcomes.with_label_values(&[outcome]).inc();
        Ok(Some(due.id))
    }
}

// `now()` would be the beginning of the transaction, and the payment service has been waited for since.
const CONFIRM: &str = "UPDATE orders SET status = 'confirmed', version = version + 1, \
     updated_at = clock_timestamp() WHERE id = $1";

const REJECT: &str = "UPDATE orders SET status = 'rejected', version = version + 1, \
     updated_at = clock_timestamp() WHERE id = $1";

/// A second, then twice as long each time, up to five minutes; give or take, so that not all come back at once.
const PUT_OFF: &str = "UPDATE orders SET attempts = attempts + 1, due_at = clock_timestamp() + (0.5 + random()) \
     * least(300, power(2, least(attempts, 10))) * interval '1 second' WHERE id = $1";
