//! `PostgreSQL`, as a test needs it.

use std::sync::OnceLock;

use berth_testkit::Postgres;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::runtime::{Builder, Runtime};

/// The server that most tests share.
fn shared() -> &'static Postgres {
    static SHARED: OnceLock<Postgres> = OnceLock::new();
    SHARED.get_or_init(Postgres::start)
}

/// A database, which is empty until a service migrates it.
pub struct Database {
    pub url: String,
}

impl Database {
    pub fn new() -> Self {
        Self::on(shared())
    }

    pub fn on(postgres: &Postgres) -> Self {
        Self {
            url: postgres.create_database(),
        }
    }

    /// A connection to it that is not the service's.
    pub fn sql(&self) -> Sql {
        Sql::connect(&self.url)
    }

    /// A number that it is asked for.
    pub fn number(&self, query: &str) -> i64 {
        self.sql().number(query)
    }
}

/// A connection.
pub struct Sql {
    runtime: Runtime,
    connection: PgConnection,
}

impl Sql {
    fn connect(url: &str) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let connection = runtime.block_on(PgConnection::connect(url)).unwrap();
        Self {
            runtime,
            connection,
        }
    }

    pub fn run(&mut self, statements: &str) {
        let done = sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut self.connection);
        self.runtime.block_on(done).unwrap();
    }

    pub fn number(&mut self, query: &str) -> i64 {
        let number = sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut self.connection);
        self.runtime.block_on(number).unwrap()
    }
}
