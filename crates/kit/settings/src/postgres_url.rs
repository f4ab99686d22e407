//! The URL of a `PostgreSQL` database.

use std::{fmt, str::FromStr};

use crate::secret::{MASK, UrlError};

/// A URL as `PostgreSQL`'s own clients read it: with several hosts, or a socket's folder. It is shown without what may
/// be secret in it: who logs in, and the options. Whether its hosts and options hold, the driver has to say.
///
/// ```
/// use berth_kit_settings::PostgresUrl;
///
/// let url: PostgresUrl = "postgres://app:hunter2@a:5432,b:5432/shop?target_session_attrs=read-write".parse()?;
/// assert_eq!(url.to_string(), "postgres://********@a:5432,b:5432/shop?********");
/// assert!(url.expose().contains("hunter2"));
/// # Ok::<(), berth_kit_settings::UrlError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    text: String,
    /// Where in `text` who logs in begins, and where that and the path end.
    login: (usize, usize),
    path_end: usize,
}

impl PostgresUrl {
    /// What it is. Whoever writes this down shows it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }
}

impl FromStr for PostgresUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (scheme, after) = text.split_once("://").ok_or(UrlError::NoServer)?;
        if !["postgres", "postgresql"].contains(&scheme) {
            return Err(UrlError::NoServer);
        }
        let end = after.find(['/', '?', '#', '\\']).unwrap_or(after.len());
        let (authority, rest) = after.split_at(end);
        // The driver takes the first `@`, wherever it is, for the end of who logs in; and it knows no fragments.
        let ends_login = authority.matches('@').count();
        if ends_login > 1 || rest.contains(['@', '#', '\\']) {
            return Err(UrlError::Password);
        }
        let host = authority.find('@').map_or(0, |at| at + 1);
        let start = scheme.len() + "://".len();
        let query = rest.find('?').unwrap_or(rest.len());
        Ok(Self {
            text: text.to_owned(),
            login: (start, start + host),
            path_end: start + end + query,
        })
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, end) = self.login;
        f.write_str(&self.text[..start])?;
        if end > start {
            write!(f, "{MASK}@")?;
        }
        write!(f, "{}", self.text[end..self.path_end].escape_debug())?;
        if self.path_end < self.text.len() {
            write!(f, "?{MASK}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
