//! `redis://:password@host:port/database`, or `redis+unix:///socket`: it answers PING. A server that is still loading
//! its data answers with an error, and so is not ready.

use super::kept::{self, Ask};
use crate::{
    error::CheckError,
    readiness::{Cause, Check},
};
use berth_kit_settings::{ReadinessCheck, SecretUrl};
use redis::{AsyncConnectionConfig, Client, aio::MultiplexedConnection};

struct Redis {
    client: Client,
}

impl Ask for Redis {
    type Connection = MultiplexedConnection;

    async fn connect(&self) -> Result<MultiplexedConnection, Cause> {
        // The time limit is the attempt's.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        Ok(self
            .client
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

/// The driver says whether it can ask by this URL.
pub(super) fn new(check: &ReadinessCheck, url: &SecretUrl) -> Result<Box<dyn Check>, CheckError> {
    let client = Client::open(url.expose().as_str()).map_err(|error| {
        // What comes after the dash may quote the URL.
        let text = error.to_string();
        CheckError::refused(check, text.split(" - ").next().unwrap_or_default())
    })?;
    Ok(kept::check(Redis { client }))
}
