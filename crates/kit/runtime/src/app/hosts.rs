//! By which names the management port may be asked.
//!
//! It has no password, and a browser on a machine that reaches it carries every page's requests there: a page whose
//! name has been made to stand for this port's address (DNS rebinding) is of the same origin as the port, and reads
//! the settings. What gives it away is the `Host` that the browser sends, which is the page's name, and which no page
//! can change. So a name is answered only where nobody out there can have a page under it.

use std::net::{IpAddr, Ipv6Addr};

use actix_web::{
    dev::ServiceRequest,
    http::{StatusCode, header},
};
use berth_kit_http::Problem;
use berth_kit_settings::Settings;

/// The names of a cluster: in the DNS of the world there are none that end so.
const OF_A_CLUSTER: [&str; 3] = [".svc", ".svc.cluster.local", ".pod.cluster.local"];

/// The hosts that the management port is asked by.
#[derive(Debug)]
pub(crate) struct AllowedHosts {
    /// In lower case, without a dot at the end. A dot at the beginning stands for any names before
    /// it.
    names: Vec<String>,
}

impl AllowedHosts {
    /// What the settings allow, beside `hostname`, the pod's, and what is always allowed.
    pub(crate) fn new(settings: &Settings, hostname: &str) -> Self {
        let mut names = settings.management.allowed_hosts.clone();
        names.push(hostname.to_ascii_lowercase());
        Self { names }
    }

    /// The answer to a request for another host.
    ///
    /// A request that names none is of no browser: they all speak HTTP/1.1, where it must.
    pub(crate) fn refuse(&self, req: &ServiceRequest) -> Option<Problem> {
        // The target may name a host, too, and then the header is not looked at by those who go by the letter.
        let target = req.uri().host();
        let header = req.headers().get(header::HOST);
        // What is not ASCII is a name, and none of ours.
        let header = header.map(|value| value.to_str().unwrap_or("not.ascii"));
        let mut named = target.into_iter().chain(header);
        let is_allowed = named.all(|host| host.is_empty() || self.allows(host));
        (!is_allowed).then(|| {
            Problem::new(
                StatusCode::MISDIRECTED_REQUEST,
                "this port is asked by an address, localhost, or the name of the pod or a Service; where the host of \
                 this request is another name of it, add it to management.allowed_hosts",
            )
        })
    }

    /// `host` may have a port.
    fn allows(&self, host: &str) -> bool {
        if let Some(rest) = host.strip_prefix('[') {
            let address = rest.split(['%', ']']).next().unwrap_or_default();
            return address.parse::<Ipv6Addr>().is_ok();
        }
        let name = host.split(':').next().unwrap_or_default();
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        name.parse::<IpAddr>().is_ok()
            // A Service in the same namespace, a container in the same network, `localhost`.
            || !name.contains('.')
            || name.ends_with(".localhost")
            || OF_A_CLUSTER.iter().any(|end| name.ends_with(end))
            || self.names.iter().any(|known| is(known, &name))
    }
}

fn is(known: &str, name: &str) -> bool {
    name == known || (known.starts_with('.') && name.ends_with(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_anybody_can_have_a_page_under_is_none_of_this_port() {
        let mut settings = Settings::default();
        settings.management.allowed_hosts =
            vec!["metrics.example.com".to_owned(), ".prod.test".to_owned()];
        let hosts = AllowedHosts::new(&settings, "Shop-7d9.example.net");
        for host in [
            "127.0.0.1",
            "10.1.2.3:9090",
            "[::1]:9090",
            "[fe80::1%25eth0]:9090",
            "[2001:db8::1]",
            "localhost",
            "LocalHost:9090",
            "localhost.",
            "shop.localhost:9090",
            "shop",
            "shop:9090",
            "shop-7d9.example.net:9090",
            "shop.default.svc",
            "shop.default.svc:9090",
            "shop.default.svc.cluster.local.:9090",
            "10-1-2-3.default.pod.cluster.local",
            "Metrics.Example.COM:9090",
            "a.prod.test",
            "a.b.prod.test",
        ] {
            assert!(hosts.allows(host), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:9090",
            "example.com",
            "evil.metrics.example.com",
            "metrics.example.com.evil.example",
            "prod.test",
            "evilprod.test",
            ".evil.example",
            "127.0.0.1.evil.example",
            "127.1",
            "localhost.evil.example",
            "shop.default",
            "svc.evil.example",
            "shop.svc.evil.example",
            "evil.cluster.local",
            "evil.local",
            "[evil.example]",
            "[::1.evil.example]",
            "[]",
        ] {
            assert!(!hosts.allows(host), "{host}");
        }
    }
}
