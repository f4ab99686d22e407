//! `server.trusted_proxies`: a list of networks.

use std::net::IpAddr;

use config::{Value, ValueKind};
use ipnet::IpNet;
use serde_json::Value as Json;

use super::lists::list;
use crate::entry::Render;
use crate::reading::layers::Raw;
use crate::reading::shown::quote;

/// More would be looked through with every request.
const MAX_NETWORKS: usize = 64;

const ALLOWED: &str =
    "must be a list of networks or addresses, such as [\"10.0.0.0/8\", \"2001:db8::/32\"]";

/// A list of networks in CIDR notation, or of addresses. In a variable it is written as TOML would have it inline.
pub(crate) fn networks(raw: &Raw) -> Result<Vec<IpNet>, String> {
    let items = list(raw, ALLOWED, MAX_NETWORKS, "networks")?;
    items.iter().map(network).collect()
}

fn network(item: &Value) -> Result<IpNet, String> {
    let ValueKind::String(text) = &item.kind else {
        return Err(ALLOWED.to_owned());
    };
    let by_address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    let Some(network) = text.parse::<IpNet>().ok().or_else(by_address) else {
        return Err(format!("{ALLOWED}; {} is none", quote(text, 80)));
    };
    if network.trunc() != network {
        return Err(format!(
            "{network} has bits behind its prefix: write {} for the network, or {} for the address",
            network.trunc(),
            network.addr()
        ));
    }
    // They are compared with IPv4, which is what such addresses are.
    if matches!(network, IpNet::V6(v6) if v6.prefix_len() >= 96 && v6.addr().to_ipv4_mapped().is_some())
    {
        return Err(format!("{network} is of IPv4: write it as such"));
    }
    Ok(network)
}

/// TOML has it inline.
impl Render for Vec<IpNet> {
    fn render(&self) -> String {
        let networks: Vec<_> = self
            .iter()
            .map(|network| format!("\"{network}\""))
            .collect();
        format!("[{}]", networks.join(", "))
    }

    fn json(&self) -> Json {
        self.iter().map(ToString::to_string).collect()
    }
}
