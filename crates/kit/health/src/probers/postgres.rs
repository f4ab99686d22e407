//! `postgres://user:password@host:port/database`: it answers `SELECT 1`.

use crate::readiness::{Attempt, Check};
use berth_kit_settings::ReadinessCheck;
use tokio_postgres::{Client, Error, NoTls};

struct Postgres {
    url: String,
    connection: Option<Client>,
}

impl Check for Postgres {
    fn check(&mut self) -> Attempt<'_> {
        Box::pin(async {
            // Taken out until it has answered: an attempt that is dropped drops it as well.
            let connection = match self.connection.take() {
                Some(connection) if !connection.is_closed() => connection,
                _ => connect(&self.url).await?,
            };
            connection.simple_query("SELECT 1").await?;
            self.connection = Some(connection);
            Ok(())
        })
    }
}

async fn connect(url: &str) -> Result<Client, Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    // It ends with the client, or with an error that the client's next query has as well.
    actix_rt::spawn(async {
        let _ = connection.await;
    });
    Ok(client)
}

pub(super) fn new(check: &ReadinessCheck) -> Box<dyn Check> {
    Box::new(Postgres {
        url: check.target.url().as_str().to_owned(),
        connection: None,
    })
}
