//! What a readiness check asks: its URL.

use std::fmt;

use crate::{
    postgres_url::PostgresUrl,
    reading::layers::Raw,
    secret::{SecretUrl, UrlError},
};

const SCHEMES: &str = "must be a URL such as tcp://host:port, http://host/path, https://host/path, \
                       redis://:password@host:6379/0 or postgres://user:password@host/database";

/// What a check asks, and by what it asks. A password in it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub enum Target {
    /// It takes connections.
    Tcp {
        /// A name, or an IP address without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// It answers a GET with an expected status.
    Http(SecretUrl),
    /// The same over TLS.
    Https(SecretUrl),
    /// It answers PING, at a host or a socket.
    Redis(SecretUrl),
    /// One of its hosts answers `SELECT 1`.
    Postgres(PostgresUrl),
}

/// Without what may be secret in it.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
            Self::Http(url) | Self::Https(url) | Self::Redis(url) => fmt::Display::fmt(url, f),
            Self::Postgres(url) => fmt::Display::fmt(url, f),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Takes the URL, or says what to write instead. What it says quotes nothing but the scheme.
pub(crate) fn target(raw: &Raw) -> Result<Target, String> {
    let Some((scheme, after)) = raw.text().and_then(|text| text.split_once("://")) else {
        return raw.refuse(SCHEMES, true);
    };
    let scheme = scheme.to_ascii_lowercase();
    let parsed = match scheme.as_str() {
        "postgres" | "postgresql" => format!("{scheme}://{after}").parse().map(Target::Postgres),
        "tcp" | "http" | "https" | "redis" | "valkey" | "unix" | "redis+unix" | "valkey+unix" => {
            if has_several_hosts(after) {
                return Err(format!(
                    "must name one server; several are several checks, but for postgres: (`{scheme}:` asks one)"
                ));
            }
            match format!("{scheme}://{after}").parse() {
                Ok(url) => return of(&scheme, url),
                Err(error) => Err(error),
            }
        }
        _ => return Err(unknown(&scheme)),
    };
    match parsed {
        Err(UrlError::Password) => Err(UrlError::Password.to_string()),
        Err(_) => raw.refuse(SCHEMES, true),
        Ok(target) => Ok(target),
    }
}

/// A comma after who logs in, as drivers of clusters have it.
fn has_several_hosts(after: &str) -> bool {
    let authority = after.split(['/', '?', '#']).next().unwrap_or_default();
    let hosts = authority.rsplit('@').next().unwrap_or_default();
    hosts.contains(',')
}

fn of(scheme: &str, secret: SecretUrl) -> Result<Target, String> {
    let url = secret.expose();
    let host = url.host_str().unwrap_or_default();
    if scheme.ends_with("unix") {
        let is_path = host.is_empty() && url.path().len() > 1;
        return is_path.then_some(Target::Redis(secret)).ok_or_else(|| {
            format!("must name a socket of Redis, with three slashes: {scheme}:///run/redis.sock")
        });
    }
    if host.is_empty() {
        return Err(match scheme {
            "redis" | "valkey" => "must name a host; a socket is redis+unix:///run/redis.sock",
            _ => "must name a host",
        }
        .to_owned());
    }
    match scheme {
        "http" => Ok(Target::Http(secret)),
        "https" => Ok(Target::Https(secret)),
        "tcp" => {
            let port = url.port().filter(|port| *port > 0);
            let host = host.trim_matches(['[', ']']).to_owned();
            port.map(|port| Target::Tcp { host, port })
                .ok_or_else(|| "must name a port: tcp://host:port".to_owned())
        }
        _ => {
            let database = url.path().trim_matches('/');
            if !database.is_empty() && database.parse::<u16>().is_err() {
                return Err(
                    "must end in a database's number, such as redis://host:6379/0".to_owned(),
                );
            }
            Ok(Target::Redis(secret))
        }
    }
}

/// What to write instead of a URL for which there is no check.
fn unknown(scheme: &str) -> String {
    let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.:".contains(&byte);
    if scheme.is_empty() || scheme.len() > 32 || !scheme.bytes().all(is_scheme) {
        return SCHEMES.to_owned();
    }
    let postgres = ["jdbc:postgres", "postgres+", "postgresql+"];
    let instead = if postgres.iter().any(|other| scheme.starts_with(other)) {
        "write postgres://"
    } else if ["redis+socket", "redis-socket"].contains(&scheme) {
        "write redis+unix:///run/redis.sock"
    } else if ["rediss", "valkeys"].contains(&scheme) {
        "Redis is asked without TLS; tcp://host:port asks whether it takes connections"
    } else {
        "tcp://host:port asks whether anything takes connections"
    };
    format!("{SCHEMES}; not `{scheme}:`: {instead}")
}
