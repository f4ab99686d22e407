//! `redis://:password@host:port/database`: it answers PING. A server that is still loading its data
//! answers with an error, and so is not ready.

use super::kept::{self, Ask};
use crate::readiness::{Cause, Check};
use berth_kit_settings::ReadinessCheck;
use redis::{AsyncConnectionConfig, Client, aio::MultiplexedConnection};

struct Redis {
    url: String,
}

impl Ask for Redis {
    type Connection = MultiplexedConnection;

    async fn connect(&self) -> Result<MultiplexedConnection, Cause> {
        // The time limit is the attempt's.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let client = Client::open(&*self.url)?;
        Ok(client
            .get_multiplexed_async_connection_with_config(&config)
            .await?)
    }

    async fn ask(
        &self,
        mut connection: MultiplexedConnection,
    ) -> Result<Option<MultiplexedConnection>, Cause> {
        let () = redis::cmd("PING").query_async(&mut connection).await?;
        Ok(Some(connection))
    }
}

pub(super) fn new(check: &ReadinessCheck) -> Box<dyn Check> {
    kept::check(Redis {
        url: check.target.url().as_str().to_owned(),
    })
}
