//! Values that must not be shown.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use url::Url;

/// What stands for a secret.
pub(crate) const MASK: &str = "********";

/// What is told of a secret that is not what it has to be.
pub(crate) const NOT_SHOWN: &str = "is not what it has to be; it is a secret, so it is not shown";

/// A value that is masked wherever it is written: in logs, in `check`, in `/settings`, in errors.
///
/// ```
/// use berth_kit_settings::Secret;
///
/// let password = Secret::new("hunter2".to_owned());
/// assert_eq!(format!("{password:?}"), "********");
/// assert_eq!(password.expose(), "hunter2");
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
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
    /// The password would be taken for something else.
    #[error("has a character in its password that ends it; write / as %2F, ? as %3F, # as %23")]
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
        let url = Url::parse(text)?;
        // `postgres://app:/s3cr3t@db` would be a server called `app`.
        let after_scheme = text.split_once("//").map_or("", |(_, rest)| rest);
        let end = after_scheme.find(['/', '?', '#', '\\']);
        let (authority, rest) = after_scheme.split_at(end.unwrap_or(after_scheme.len()));
        if authority.contains(':') && !authority.contains('@') && rest.contains('@') {
            return Err(UrlError::Password);
        }
        Ok(Self(url))
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(url) = self;
        write!(f, "{}:", url.scheme())?;
        if url.has_authority() {
            f.write_str("//")?;
            if !url.username().is_empty() || url.password().is_some() {
                write!(f, "{MASK}@")?;
            }
            f.write_str(url.host_str().unwrap_or_default())?;
            if let Some(port) = url.port() {
                write!(f, ":{port}")?;
            }
            f.write_str(url.path())?;
        } else {
            // Such as `mailto:`, where nothing tells what is secret.
            f.write_str(MASK)?;
        }
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
        let text = String::deserialize(deserializer).map_err(|_| de::Error::custom(NOT_SHOWN))?;
        // The value is not shown then, since it may hold a secret where this cannot tell.
        text.parse()
            .map_err(|_: UrlError| de::Error::custom(NOT_SHOWN))
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
            ("mailto:ada@example.org", "mailto:********"),
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
