//! `postgres://user:password@host:port,host:port/database`, or with a socket's folder: it answers `SELECT 1`.

use super::kept::{self, Ask};
use crate::{
    error::CheckError,
    readiness::{Cause, Check},
};
use berth_kit_settings::{PostgresUrl, ReadinessCheck};
use tokio_postgres::{
    Client, Config, NoTls,
    config::{ChannelBinding, Host, SslMode},
};

/// What other drivers have in such a URL and this one does not know.
const OF_OTHERS: [&str; 12] = [
    "connection_limit",
    "currentSchema",
    "gssencmode",
    "pgbouncer",
    "pool_timeout",
    "pool_max_conns",
    "schema",
    "search_path",
    "ssl",
    "sslcert",
    "sslkey",
    "sslrootcert",
];

struct Postgres {
    config: Config,
}

impl Ask for Postgres {
    type Connection = Client;

    async fn connect(&self) -> Result<Client, Cause> {
        let mut outcome = Err(Cause::from("it has no address"));
        for server in self.servers().await? {
            outcome = server.connect(NoTls).await.map_err(Cause::from);
            if outcome.is_ok() {
                break;
            }
        }
        let (client, connection) = outcome?;
        // It ends with the client, or with an error that the client's next query has as well.
        actix_rt::spawn(async {
            let _ = connection.await;
        });
        Ok(client)
    }

    async fn ask(&self, connection: Client) -> Result<Option<Client>, Cause> {
        connection.simple_query("SELECT 1").await?;
        Ok(Some(connection))
    }
}

impl Postgres {
    /// Each address that it may be asked at, one by one: the driver would have the C library look up the names.
    async fn servers(&self) -> Result<Vec<Config>, berth_kit_names::Error> {
        let (hosts, given) = (self.config.get_hosts(), self.config.get_hostaddrs());
        let ports = self.config.get_ports();
        let mut servers = Vec::new();
        let mut unknown = Ok(());
        for index in 0..hosts.len().max(given.len()) {
            let port = ports.get(index).or(ports.first()).copied();
            let mut add =
                |server: &mut Config| servers.push(server.port(port.unwrap_or(5432)).clone());
            match (given.get(index), hosts.get(index)) {
                (Some(address), _) => add(without_hosts(&self.config).hostaddr(*address)),
                (None, Some(Host::Unix(folder))) => {
                    add(without_hosts(&self.config).host_path(folder));
                }
                (None, Some(Host::Tcp(name))) => match berth_kit_names::lookup(name).await {
                    Ok(found) => {
                        for address in found {
                            add(without_hosts(&self.config).hostaddr(address));
                        }
                    }
                    // Another host may be known.
                    Err(error) => unknown = Err(error),
                },
                (None, None) => {}
            }
        }
        if servers.is_empty() {
            unknown?;
        }
        Ok(servers)
    }
}

/// All that the settings say, but for where the server is.
fn without_hosts(config: &Config) -> Config {
    let mut copy = Config::new();
    copy.ssl_mode(config.get_ssl_mode())
        .channel_binding(config.get_channel_binding())
        .target_session_attrs(config.get_target_session_attrs())
        .keepalives(config.get_keepalives())
        .keepalives_idle(config.get_keepalives_idle());
    if let Some(user) = config.get_user() {
        copy.user(user);
    }
    if let Some(password) = config.get_password() {
        copy.password(password);
    }
    if let Some(database) = config.get_dbname() {
        copy.dbname(database);
    }
    if let Some(options) = config.get_options() {
        copy.options(options);
    }
    if let Some(name) = config.get_application_name() {
        copy.application_name(name);
    }
    if let Some(timeout) = config.get_connect_timeout() {
        copy.connect_timeout(*timeout);
    }
    if let Some(timeout) = config.get_tcp_user_timeout() {
        copy.tcp_user_timeout(*timeout);
    }
    if let Some(interval) = config.get_keepalives_interval() {
        copy.keepalives_interval(interval);
    }
    if let Some(retries) = config.get_keepalives_retries() {
        copy.keepalives_retries(retries);
    }
    copy
}

pub(super) fn new(check: &ReadinessCheck, url: &PostgresUrl) -> Result<Box<dyn Check>, CheckError> {
    let config = judge(url.expose()).map_err(|problem| CheckError::refused(check, problem))?;
    Ok(kept::check(Postgres { config }))
}

/// The driver says whether it can ask by this URL; what it would find out at each attempt, it is asked now.
fn judge(url: &str) -> Result<Config, String> {
    let config: Config = url.parse().map_err(|error| instead(&error))?;
    if config.get_ssl_mode() == SslMode::Require
        || config.get_channel_binding() == ChannelBinding::Require
    {
        return Err(
            "PostgreSQL is asked without TLS; write sslmode=prefer, or ask tcp://host:port"
                .to_owned(),
        );
    }
    let (hosts, addresses) = (config.get_hosts(), config.get_hostaddrs());
    let is_nowhere = |host: &Host| matches!(host, Host::Tcp(name) if name.is_empty());
    if hosts.len().max(addresses.len()) == 0 || hosts.iter().any(is_nowhere) {
        return Err(
            "it names no host; write postgres://host/database, or ?host=/var/run/postgresql for a socket"
                .to_owned(),
        );
    }
    let servers = hosts.len().max(addresses.len());
    let fits = |count: usize| count <= 1 || count == servers;
    if !(hosts.is_empty() || addresses.is_empty() || hosts.len() == addresses.len())
        || !fits(config.get_ports().len())
    {
        return Err("it does not have as many hosts as addresses or ports".to_owned());
    }
    Ok(config)
}

/// What the driver has against a URL, and what to write. Its own text may quote what is secret.
fn instead(error: &tokio_postgres::Error) -> String {
    let source = std::error::Error::source(error);
    let text = source.map(ToString::to_string).unwrap_or_default();
    let option = text.split('`').nth(1).unwrap_or_default();
    if text.starts_with("unknown option") {
        return if OF_OTHERS.contains(&option) {
            format!("`{option}` is an option of other drivers; leave it out")
        } else {
            "it has an option that the driver does not know; leave it out".to_owned()
        };
    }
    match option {
        "sslmode" => {
            "sslmode must be disable or prefer: PostgreSQL is asked without TLS".to_owned()
        }
        "target_session_attrs" => {
            "target_session_attrs must be any, read-write or read-only".to_owned()
        }
        "" => "the driver cannot read it; percent-encode what is not a letter or digit".to_owned(),
        option => format!("{option} has a value that the driver does not take"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_driver_can_ask_by_is_taken() {
        for url in [
            "postgres://app:pw@a:5432,b:5433/shop?target_session_attrs=read-write",
            "postgres://app@[::1]/shop?sslmode=prefer&connect_timeout=2",
            "postgres://app@%2Fvar%2Frun%2Fpostgresql/shop",
            "postgresql://app:pw@/shop?host=/cloudsql/a:b:c",
            "postgres://app@a/shop?options=-c%20search_path%3Dorders&sslmode=disable",
        ] {
            assert!(judge(url).is_ok(), "{url}: {:?}", judge(url));
        }
    }

    #[test]
    fn what_it_cannot_is_refused_with_what_to_write() {
        for (url, says) in [
            (
                "postgres://a/b?schema=public",
                "`schema` is an option of other drivers",
            ),
            ("postgres://a/b?sslmode=verify-full", "disable or prefer"),
            ("postgres://a/b?sslmode=require", "without TLS"),
            ("postgres://a/b?channel_binding=require", "without TLS"),
            (
                "postgres://a/b?target_session_attrs=primary",
                "any, read-write or read-only",
            ),
            ("postgres:///b", "names no host"),
            ("postgres://a,,b/c", "names no host"),
            ("postgres://a:x/b", "port has a value"),
            ("postgres://a:1,b:2/c?port=3", "as many hosts"),
            ("postgres://a/b?hostaddr=1.2.3.4,1.2.3.5", "as many hosts"),
            // What is left of a password that was not encoded.
            (
                "postgres://a/b?password=x&hunter2==",
                "an option that the driver does not know",
            ),
            ("postgres://a/b?hunter2", "percent-encode"),
        ] {
            let problem = judge(url).unwrap_err();
            assert!(problem.contains(says), "{url}: {problem}");
            assert!(!problem.contains("hunter2"), "{problem}");
        }
    }
}
