//! `postgres://user:password@host:port/database`: it answers `SELECT 1`.

use super::kept::{self, Ask};
use crate::readiness::{Cause, Check};
use berth_kit_settings::ReadinessCheck;
use tokio_postgres::{Client, NoTls};

struct Postgres {
    url: String,
}

impl Ask for Postgres {
    type Connection = Client;

    async fn connect(&self) -> Result<Client, Cause> {
        let (client, connection) = tokio_postgres::connect(&self.url, NoTls).await?;
        // It ends with the client, or with an error that the client's next query has as well.
        actix_rt::spawn(async {
            let _ = connection.await;
        });
        Ok(client)
    }

    async fn ask(&self, connection: Client) -> Result<Option<Client>, Cause> {
        connection.simple_query("SELECT 1").await?;
        Ok(Some(connection))
    }
}

pub(super) fn new(check: &ReadinessCheck) -> Box<dyn Check> {
    kept::check(Postgres {
        url: check.target.url().as_str().to_owned(),
    })
}
