//! The connections to the database.

use std::time::Duration;

use anyhow::Context as _;
use berth_kit::Result;
use orders_config::Database;
use orders_metrics::Usage;
use sqlx::{
    ConnectOptions as _, Connection as _, PgPool, PgTransaction, Postgres,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};

/// A pool that all threads share.
#[derive(Debug, Clone)]
pub struct Db {
    pool: PgPool,
}

impl Db {
    /// Connects and migrates.
    ///
    /// # Errors
    ///
    /// When the database is not there, or a migration fails.
    pub async fn connect(settings: &Database) -> Result<Self> {
        // Without the timeouts: a migration, and another instance's, may take its time.
        let mut connection = options(settings)?
            .connect()
            .await
            .context("cannot connect to database.url")?;
        sqlx::migrate!("../../migrations")
            .run(&mut connection)
            .await
            .context("cannot migrate the database")?;
        connection.close().await?;
        Ok(Self {
            pool: pool(settings, settings.max_connections)?,
        })
    }

    /// A connection, for as long as this is kept.
    ///
    /// # Errors
    ///
    /// [`sqlx::Error::PoolTimedOut`] when none becomes free, or can be made, within `database.acquire_timeout`.
    pub async fn acquire(&self) -> sqlx::Result<PoolConnection<Postgres>> {
        self.pool.acquire().await
    }

    /// A transaction, which is rolled back unless it is committed.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    pub async fn begin(&self) -> sqlx::Result<PgTransaction<'static>> {
        self.pool.begin().await
    }

    /// Whether a request would get a connection that works.
    ///
    /// # Errors
    ///
    /// Why it would not.
    pub async fn ping(&self) -> sqlx::Result<()> {
        self.acquire().await?.ping().await
    }

    /// How many connections there are.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let idle = u32::try_from(self.pool.num_idle()).unwrap_or(u32::MAX);
        Usage {
            busy: self.pool.size().saturating_sub(idle),
            idle,
        }
    }

    /// Closes all connections, once they have come back.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// A pool that connects when it is first asked.
///
/// # Errors
///
/// When the URL is none of a database.
pub fn pool(settings: &Database, max_connections: u32) -> Result<PgPool> {
    let millis = |duration: Duration| format!("{}ms", duration.as_millis());
    let options = options(settings)?.options([
        ("statement_timeout", millis(settings.statement_timeout)),
        ("lock_timeout", millis(settings.lock_timeout)),
        // What an instance holds whose machine is gone is free after a minute.
        ("tcp_keepalives_idle", "30s".to_owned()),
        ("tcp_keepalives_interval", "10s".to_owned()),
        ("tcp_keepalives_count", "3".to_owned()),
    ]);
    Ok(PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(settings.acquire_timeout)
        .connect_lazy_with(options))
}

fn options(settings: &Database) -> Result<PgConnectOptions> {
    let url = settings.url.as_ref().context("database.url is not set")?;
    PgConnectOptions::from_url(url.expose()).context("database.url is no URL of a database")
}
