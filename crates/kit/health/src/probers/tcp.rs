//! `tcp://host:port`: it takes connections.

use crate::readiness::{Attempt, Check};
use actix_rt::net::TcpStream;
use berth_kit_settings::ReadinessCheck;

/// A new connection each time: one that is kept says nothing about whether new ones are taken.
struct Tcp {
    host: String,
    port: u16,
}

pub(super) fn new(check: &ReadinessCheck) -> Box<dyn Check> {
    Box::new(Tcp {
        host: check.target.host().to_owned(),
        port: check.target.port(),
    })
}

impl Check for Tcp {
    fn check(&mut self) -> Attempt<'_> {
        Box::pin(async {
            TcpStream::connect((&*self.host, self.port)).await?;
            Ok(())
        })
    }
}
