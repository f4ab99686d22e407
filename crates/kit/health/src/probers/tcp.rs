//! `tcp://host:port`: it takes connections.

use crate::readiness::{Attempt, Check};

/// A new connection each time: one that is kept says nothing about whether new ones are taken.
struct Tcp {
    host: String,
    port: u16,
}

pub(super) fn new(host: &str, port: u16) -> Box<dyn Check> {
    Box::new(Tcp {
        host: host.to_owned(),
        port,
    })
}

impl Check for Tcp {
    fn check(&mut self) -> Attempt<'_> {
        Box::pin(async {
            berth_kit_names::connect(&self.host, self.port).await?;
            Ok(())
        })
    }
}
