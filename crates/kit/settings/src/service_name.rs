//! What a service is called, and what its variables are called after it.

use std::fmt;

/// The name of a service, such as `my-shop`. The variables of its settings begin with it
/// (`MY_SHOP__SERVER__PORT`), one names its settings file (`MY_SHOP_CONFIG`), and `app.name` is it by
/// default.
///
/// ```
/// use berth_kit_settings::ServiceName;
///
/// let name = ServiceName::new("my-shop");
/// assert_eq!(name.prefix(), "MY_SHOP__");
/// assert_eq!(name.config_variable(), "MY_SHOP_CONFIG");
/// assert_eq!(name.variable("server.port"), "MY_SHOP__SERVER__PORT");
/// ```
///
/// In a constant, a name that will not do is an error of the compiler:
///
/// ```compile_fail
/// # use berth_kit_settings::ServiceName;
/// const NAME: ServiceName = ServiceName::new("my--shop");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ServiceName(&'static str);

impl ServiceName {
    /// `name` is 1 to 64 ASCII letters and digits with single `-` or `_` between them, and a letter first:
    /// most names of packages are. Anything else would give variables that cannot be set, or that are
    /// another service's.
    ///
    /// # Panics
    ///
    /// Where it is not; while it compiles, where the name is a constant.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        assert!(
            is_name(name.as_bytes()),
            "the name of a service must be 1 to 64 letters and digits with single `-` or `_` between \
             them, and a letter first"
        );
        Self(name)
    }

    /// As it was given.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// What the variables of the settings begin with. Two underscores: a Service named `shop` makes
    /// Kubernetes inject `SHOP_PORT=tcp://…`.
    #[must_use]
    pub fn prefix(self) -> String {
        self.upper() + "__"
    }

    /// The variable of `key`, such as `server.port`.
    #[must_use]
    pub fn variable(self, key: &str) -> String {
        self.prefix() + &key.to_ascii_uppercase().replace('.', "__")
    }

    /// The variable that names the settings file.
    #[must_use]
    pub fn config_variable(self) -> String {
        self.upper() + "_CONFIG"
    }

    fn upper(self) -> String {
        self.0.to_ascii_uppercase().replace('-', "_")
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

impl fmt::Debug for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0, f)
    }
}

const fn is_name(name: &[u8]) -> bool {
    if name.is_empty() || name.len() > 64 || !name[0].is_ascii_alphabetic() {
        return false;
    }
    let mut at = 1;
    while at < name.len() {
        let is_between = name[at - 1].is_ascii_alphanumeric() && at + 1 < name.len();
        if !(name[at].is_ascii_alphanumeric() || matches!(name[at], b'-' | b'_') && is_between) {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_names_variables_and_nothing_else() {
        let longest = "a".repeat(64);
        for name in ["a", "shop", "my-shop", "my_shop", "Shop2", "a-1", &longest] {
            assert!(is_name(name.as_bytes()), "{name}");
        }
        let too_long = "a".repeat(65);
        for name in [
            "", "-a", "a-", "_a", "a_", "a--b", "a__b", "a-_b", "1a", "a b", "a.b", "a=b", "é",
            "a\0", "-", &too_long,
        ] {
            assert!(!is_name(name.as_bytes()), "{name}");
        }
    }

    #[test]
    #[should_panic(expected = "the name of a service must be")]
    fn another_name_is_not_taken_silently() {
        let _ = ServiceName::new("my--shop");
    }
}
