//! Values that must not be shown.

use std::{cell::Cell, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use url::Url;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

/// What stands for a secret.
pub(crate) const MASK: &str = "********";

/// What is told of a value that may be a secret and is not what it has to be.
pub(crate) const NOT_SHOWN: &str =
    "is not what it has to be; it may hold a secret, so it is not shown";

/// How what is told of such a value ends where it does not quote it.
pub(crate) const SAFE: &str = "; it may hold a secret, so it is not shown";

thread_local! {
    /// A value has been read that is a secret by its type.
    static READ: Cell<bool> = const { Cell::new(false) };
}

/// Does `work`, and tells whether it has read a secret.
pub(crate) fn watch<R>(work: impl FnOnce() -> R) -> (R, bool) {
    READ.set(false);
    let done = work();
    (done, READ.get())
}

/// A value that is masked wherever it is written: in logs, in `check`, in `/settings`, in errors.
///
/// ```
/// use berth_kit_settings::Secret;
///
/// let password = Secret::new("hunter2".to_owned());
/// assert_eq!(format!("{password:?}"), "********");
/// assert_eq!(password.expose(), "hunter2");
/// ```
#[derive(Clone, Default, PartialEq, Eq, ToSchema)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Masks `value`.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// What it is. Whoever writes this down shows it.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl<T> Serialize for Secret<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Secret<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        READ.set(true);
        // What serde has to say may quote it.
        let value = T::deserialize(deserializer).map_err(|_| de::Error::custom(NOT_SHOWN))?;
        Ok(Self(value))
    }
}

/// A URL that is shown without what may be secret in it: who logs in, the query and the fragment.
///
/// ```
/// use berth_kit_settings::SecretUrl;
///
/// let url: SecretUrl = "postgres://app:hunter2@db/shop?sslcert=x".parse()?;
/// assert_eq!(url.to_string(), "postgres://********@db/shop?********");
/// assert_eq!(url.expose().password(), Some("hunter2"));
/// # Ok::<(), berth_kit_settings::UrlError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(Url);

/// A text is no URL. It does not say which, since that may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It is no URL at all.
    #[error("is no URL, such as scheme://user:password@host/path: {0}")]
    Syntax(#[from] url::ParseError),
    /// It names no server.
    #[error("is no URL of a server; write scheme://host")]
    NoServer,
    /// The password would be taken for something else.
    #[error(
        "has a character in its password that ends it; write / as %2F, ? as %3F, # as %23, @ as %40"
    )]
    Password,
}

impl SecretUrl {
    /// What it is. Whoever writes this down shows it.
    #[must_use]
    pub const fn expose(&self) -> &Url {
        &self.0
    }
}

impl std::str::FromStr for SecretUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let Some((scheme, after)) = text.split_once("://") else {
            Url::parse(text)?;
            return Err(UrlError::NoServer);
        };
        let end = after.find(['/', '?', '#', '\\']).unwrap_or(after.len());
        let (authority, rest) = after.split_at(end);
        let path = rest.split(['?', '#']).next().unwrap_or_default();
        // `postgres://app:/s3cr3t@db` would be a server called `app`, and `app:7/s3cr3t@db` one with a port.
        let port = authority.rsplit_once(':').map(|(_, port)| port);
        let is_odd = port.is_some_and(|port| {
            !authority.contains('@') && !port.ends_with(']') && !is_number(port)
        });
        let is_web = matches!(scheme, "http" | "https");
        let in_path = path.contains('@') && (authority.contains('@') || !is_web);
        if in_path || (is_odd && rest.contains('@')) {
            return Err(UrlError::Password);
        }
        Ok(Self(Url::parse(text)?))
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// As text.
impl PartialSchema for SecretUrl {
    fn schema() -> RefOr<Schema> {
        String::schema()
    }
}

impl ToSchema for SecretUrl {}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(url) = self;
        write!(f, "{}:", url.scheme())?;
        f.write_str("//")?;
        if !url.username().is_empty() || url.password().is_some() {
            write!(f, "{MASK}@")?;
        }
        f.write_str(url.host_str().unwrap_or_default())?;
        if let Some(port) = url.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(url.path())?;
        if url.query().is_some() {
            write!(f, "?{MASK}")?;
        }
        if url.fragment().is_some() {
            write!(f, "#{MASK}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for SecretUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SecretUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        READ.set(true);
        let text = String::deserialize(deserializer).map_err(|_| de::Error::custom(NOT_SHOWN))?;
        text.parse()
            .map_err(|error: UrlError| de::Error::custom(format!("{error}{SAFE}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_shows_nothing_that_may_be_secret() {
        for (url, shown) in [
            ("redis://cache:6379/0", "redis://cache:6379/0"),
            ("redis://:pw@cache", "redis://********@cache"),
            (
                "https://token@api.example/v1?key=x#y",
                "https://********@api.example/v1?********#********",
            ),
            (
                "https://registry:5000/users/@me",
                "https://registry:5000/users/@me",
            ),
            (
                "redis://cache:6379/0?x=a@b",
                "redis://cache:6379/0?********",
            ),
            ("redis://[::1]:6379/0", "redis://[::1]:6379/0"),
        ] {
            let url: SecretUrl = url.parse().unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), shown);
            assert_eq!(serde_json::to_value(&url).unwrap(), shown);
        }
        let error = "postgres://app:/s3cr3t@db"
            .parse::<SecretUrl>()
            .unwrap_err();
        assert!(!error.to_string().contains("s3cr3t"), "{error}");
    }
}
