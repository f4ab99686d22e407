//! The settings of the service: the kit's sections, and its own.

use std::time::Duration;

use berth_kit_settings::{Secret, SecretUrl, Sections, ServiceSettings};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The settings of the service.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The kit's sections.
    pub kit: berth_kit_settings::Settings,
    /// Where orders are kept.
    pub database: Database,
    /// How orders are served.
    pub orders: Orders,
    /// Who is asked for the money.
    pub payment: Payment,
    /// Who may see everything.
    pub admin: Admin,
}

impl ServiceSettings for Settings {
    fn read(kit: berth_kit_settings::Settings, sections: &mut Sections<'_>) -> Self {
        let settings = Self {
            database: sections.take("database"),
            orders: sections.take("orders"),
            payment: sections.take("payment"),
            admin: sections.take("admin"),
            kit,
        };
        if settings.payment.timeout >= settings.kit.shutdown.timeout {
            sections.refuse(
                "payment.timeout",
                &["shutdown.timeout"],
                "must be less than shutdown.timeout, which has to wait for the attempt under way",
            );
        }
        settings
    }
}

/// `PostgreSQL`.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// `postgres://user:password@host/database`; `?sslmode=verify-full` for TLS.
    #[garde(required)]
    pub url: Option<SecretUrl>,
    /// Connections of one instance that requests share, 1 to 1000. The worker has one of its own.
    #[garde(range(min = 1, max = 1000))]
    pub max_connections: u32,
    /// How long a request waits for a connection, 1ms to 1m; then it is a 503.
    #[garde(custom(within(Duration::from_millis(1), Duration::from_mins(1))))]
    #[serde(with = "berth_kit_settings::duration")]
    #[schema(value_type = String)]
    pub acquire_timeout: Duration,
    /// How long a statement may take, 1ms to 1h.
    #[garde(custom(within(Duration::from_millis(1), Duration::from_hours(1))))]
    #[serde(with = "berth_kit_settings::duration")]
    #[schema(value_type = String)]
    pub statement_timeout: Duration,
    /// How long a statement waits for what another one holds, 1ms to 1h; then it is a 409.
    #[garde(custom(within(Duration::from_millis(1), Duration::from_hours(1))))]
    #[serde(with = "berth_kit_settings::duration")]
    #[schema(value_type = String)]
    pub lock_timeout: Duration,
    /// How often readiness asks for a connection, 10ms to 5m.
    #[garde(custom(within(Duration::from_millis(10), Duration::from_mins(5))))]
    #[serde(with = "berth_kit_settings::duration")]
    #[schema(value_type = String)]
    pub check_interval: Duration,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: None,
            max_connections: 10,
            acquire_timeout: Duration::from_secs(2),
            statement_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(5),
            check_interval: Duration::from_secs(5),
        }
    }
}

/// How orders are served.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Orders {
    /// Orders on a page where a request does not say, 1 to `max_page_size`.
    #[garde(range(min = 1, max = self.max_page_size))]
    pub page_size: u32,
    /// Orders on a page at most, 1 to 1000.
    #[garde(range(min = 1, max = 1000))]
    pub max_page_size: u32,
    /// Exports at one time, each with a connection to the database, 1 to 100.
    #[garde(range(min = 1, max = 100))]
    pub max_exports: u32,
    /// How long the answer to an `Idempotency-Key` is kept, 1s to 30 days.
    #[garde(custom(within(Duration::from_secs(1), Duration::from_hours(30 * 24))))]
    #[serde(with = "berth_kit_settings::duration")]
    #[schema(value_type = String)]
    pub idempotency_ttl: Duration,
}

impl Default for Orders {
    fn default() -> Self {
        Self {
            page_size: 20,
            max_page_size: 100,
            max_exports: 2,
            idempotency_ttl: Duration::from_hours(24),
        }
    }
}

/// The payment service.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Payment {
    /// What takes `POST {"order", "customer", "amount_cents"}`; without it, orders stay pending.
    #[garde(skip)]
    pub url: Option<SecretUrl>,
    /// For one attempt, 1ms to 1m. Less than `shutdown.timeout`, which has to wait for it.
    #[garde(custom(within(Duration::from_millis(1), Duration::from_mins(1))))]
    #[serde(with = "berth_kit_settings::duration")]
    #[schema(value_type = String)]
    pub timeout: Duration,
    /// Attempts in a row, 1 to 10; then the order is put off.
    #[garde(range(min = 1, max = 10))]
    pub attempts: u32,
    /// How often to look for new orders, 10ms to 1m.
    #[garde(custom(within(Duration::from_millis(10), Duration::from_mins(1))))]
    #[serde(with = "berth_kit_settings::duration")]
    #[schema(value_type = String)]
    pub poll_interval: Duration,
}

impl Default for Payment {
    fn default() -> Self {
        Self {
            url: None,
            timeout: Duration::from_secs(2),
            attempts: 3,
            poll_interval: Duration::from_secs(1),
        }
    }
}

/// The admin's routes.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Validate, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// The bearer token, at least 16 characters; without it nobody is let in.
    #[garde(inner(custom(long_enough)))]
    pub token: Option<Secret<String>>,
}

fn long_enough(token: &Secret<String>, (): &()) -> garde::Result {
    if token.expose().chars().count() < 16 {
        return Err(garde::Error::new("must have at least 16 characters"));
    }
    Ok(())
}

/// A duration from `min` to `max`.
fn within(min: Duration, max: Duration) -> impl Fn(&Duration, &()) -> garde::Result {
    move |duration, ()| {
        if (min..=max).contains(duration) {
            return Ok(());
        }
        Err(garde::Error::new(format!(
            "must be from {min:?} to {max:?}"
        )))
    }
}
