//! `redis://:password@host:port/database`, or `redis+unix:///socket`: it answers PING. A server that is still loading
//! its data answers with an error, and so is not ready.

use std::net::IpAddr;

use super::kept::{self, Ask};
use crate::{
    error::CheckError,
    readiness::{Cause, Check},
};
use berth_kit_settings::{ReadinessCheck, SecretUrl};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _,
    aio::MultiplexedConnection,
};

struct Redis {
    info: ConnectionInfo,
}

impl Ask for Redis {
    type Connection = MultiplexedConnection;

    async fn connect(&self) -> Result<MultiplexedConnection, Cause> {
        // The time limit is the attempt's.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let mut outcome = Err(Cause::from("it has no address"));
        for info in self.addressed().await? {
            let client = Client::open(info)?;
            let connected = client.get_multiplexed_async_connection_with_config(&config);
            outcome = connected.await.map_err(Cause::from);
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    async fn ask(
        &self,
        mut connection: MultiplexedConnection,
    ) -> Result<Option<MultiplexedConnection>, Cause> {
        let () = redis::cmd("PING").query_async(&mut connection).await?;
        Ok(Some(connection))
    }
}

impl Redis {
    /// The same with each of the host's addresses: the driver would have the C library look it up.
    async fn addressed(&self) -> Result<Vec<ConnectionInfo>, Cause> {
        let ConnectionAddr::Tcp(host, port) = self.info.addr() else {
            return Ok(vec![self.info.clone()]);
        };
        let found = berth_kit_names::lookup(host).await?.into_iter();
        let at = |ip: IpAddr| ConnectionAddr::Tcp(ip.to_string(), *port);
        Ok(found.map(|ip| self.info.clone().set_addr(at(ip))).collect())
    }
}

/// The driver says whether it can ask by this URL.
pub(super) fn new(check: &ReadinessCheck, url: &SecretUrl) -> Result<Box<dyn Check>, CheckError> {
    let info = url.expose().as_str().into_connection_info();
    let info = info.and_then(|info| Client::open(info.clone()).map(|_| info));
    let info = info.map_err(|error| {
        // What comes after the dash may quote the URL.
        let text = error.to_string();
        CheckError::refused(check, text.split(" - ").next().unwrap_or_default())
    })?;
    Ok(kept::check(Redis { info }))
}
