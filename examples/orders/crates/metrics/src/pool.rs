//! A pool's connections, read when they are asked for.

use std::fmt;

use berth_kit::{
    Result,
    prometheus::{
        IntGaugeVec,
        core::{Collector, Desc},
        opts,
        proto::MetricFamily,
    },
};

/// Connections of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// With somebody.
    pub busy: u32,
    /// With nobody.
    pub idle: u32,
}

/// Shows the usage of a pool at each scrape.
pub struct Pool {
    gauge: IntGaugeVec,
    read: Box<dyn Fn() -> Usage + Send + Sync>,
}

impl Pool {
    /// Shows what `read` gives.
    ///
    /// # Errors
    ///
    /// When it has no valid name.
    pub fn new(read: impl Fn() -> Usage + Send + Sync + 'static) -> Result<Self> {
        let opts = opts!("orders_database_connections", "Connections of the pool.");
        Ok(Self {
            gauge: IntGaugeVec::new(opts, &["state"])?,
            read: Box::new(read),
        })
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pool").field(&(self.read)()).finish()
    }
}

impl Collector for Pool {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Usage { busy, idle } = (self.read)();
        self.gauge.with_label_values(&["busy"]).set(busy.into());
        self.gauge.with_label_values(&["idle"]).set(idle.into());
        self.gauge.collect()
    }
}
