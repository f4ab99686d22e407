//! `redis://:password@host:port/database`: it answers PING. A server that is still loading its data
//! answers with an error, and so is not ready.

use crate::readiness::{Attempt, Check};
use berth_kit_settings::ReadinessCheck;
use redis::{AsyncConnectionConfig, Client, RedisError, aio::MultiplexedConnection};

struct Redis {
    url: String,
    connection: Option<MultiplexedConnection>,
}

impl Check for Redis {
    fn check(&mut self) -> Attempt<'_> {
        Box::pin(async {
            // Taken out until it has answered: an attempt that is dropped drops it as well.
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => connect(&self.url).await?,
            };
            let () = redis::cmd("PING").query_async(&mut connection).await?;
            self.connection = Some(connection);
            Ok(())
        })
    }
}

async fn connect(url: &str) -> Result<MultiplexedConnection, RedisError> {
    // The time limit is the attempt's.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None);
    Client::open(url)?
        .get_multiplexed_async_connection_with_config(&config)
        .await
}

pub(super) fn new(check: &ReadinessCheck) -> Box<dyn Check> {
    Box::new(Redis {
        url: check.target.url().as_str().to_owned(),
        connection: None,
    })
}
