//! How much memory the process may use, so that an alert can tell how near it is to its end.

use prometheus::{
    IntGauge,
    core::{Collector, Desc},
    proto::MetricFamily,
};

/// `berth_memory_limit_bytes`. Read again at each scrape: Kubernetes resizes pods in place.
pub(crate) struct MemoryLimit {
    gauge: IntGauge,
}

impl MemoryLimit {
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let gauge = IntGauge::new(
            "berth_memory_limit_bytes",
            "Memory that this process may use: its cgroup's limit, else the machine's memory.",
        )?;
        Ok(Self { gauge })
    }
}

impl Collector for MemoryLimit {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    /// Nothing where it cannot be read: no value is better than a wrong one.
    fn collect(&self) -> Vec<MetricFamily> {
        let Some(limit) = berth_kit_memory::limit() else {
            return Vec::new();
        };
        self.gauge.set(i64::try_from(limit).unwrap_or(i64::MAX));
        self.gauge.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_limit() {
        let families = MemoryLimit::new().unwrap().collect();
        let value = families[0].get_metric()[0].get_gauge().get_value();
        assert!(value > 1_000_000.0, "{value}");
    }
}
