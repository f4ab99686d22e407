//! What can be wrong with readiness checks.

#[cfg(feature = "check-https")]
use std::{error::Error, path::PathBuf};

#[cfg(any(
    feature = "check-http",
    feature = "check-postgres",
    feature = "check-redis"
))]
use berth_kit_settings::ReadinessCheck;

/// Why the readiness checks cannot be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The program has two checks of one name.
    #[error("two readiness checks of the program are called \"{name}\"; choose another name")]
    NameTwice {
        /// The name.
        name: String,
    },
    /// The settings call a check as the program calls one of its own.
    #[error(
        "readiness.checks: the name \"{name}\" is taken by a check of the program; choose another one"
    )]
    NameTaken {
        /// The name.
        name: String,
    },
    /// The settings ask something in a way that is a cargo feature, which is off.
    #[error(
        "readiness.checks: \"{name}\" asks {target}, and this program was built without that; \
         build it with the cargo feature {feature}"
    )]
    NotBuiltIn {
        /// The check.
        name: String,
        /// What it asks, without the password.
        target: String,
        /// The feature.
        feature: &'static str,
    },
    /// The URL is none that the program can ask by.
    #[error("readiness.checks: \"{name}\" cannot ask {target}: {problem}")]
    Refused {
        /// The check.
        name: String,
        /// What it asks, without the password.
        target: String,
        /// Why not, and what to write instead; without what may be secret.
        problem: String,
    },
    /// There is no telling whom to trust.
    #[cfg(feature = "check-https")]
    #[error(
        "readiness.checks: \"{name}\" needs the CA bundle {}, which cannot be read; SSL_CERT_FILE names another one",
        path.display()
    )]
    CaBundle {
        /// The check.
        name: String,
        /// The bundle.
        path: PathBuf,
        /// What reading it said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// There is no telling whether the other side is the right one.
    #[cfg(feature = "check-https")]
    #[error("readiness.checks: \"{name}\" has no host that TLS can verify")]
    NoServerName {
        /// The check.
        name: String,
        /// What is wrong with the host.
        source: Box<dyn Error + Send + Sync>,
    },
}

#[cfg(any(
    feature = "check-http",
    feature = "check-postgres",
    feature = "check-redis"
))]
impl CheckError {
    pub(crate) fn refused(check: &ReadinessCheck, problem: impl Into<String>) -> Self {
        Self::Refused {
            name: check.name.clone(),
            target: check.target.to_string(),
            problem: problem.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use berth_kit_settings::{ServiceName, Sources, load};

    use super::*;
    use crate::{Checks, Dependency};

    fn dependency() -> Dependency {
        Dependency::new("db", async || Ok(()))
    }

    #[actix_web::test]
    async fn a_name_that_two_checks_have_is_told_by_its_kind() {
        let twice = Checks::start(&[], vec![dependency(), dependency()]);
        assert!(matches!(twice.err(), Some(CheckError::NameTwice { name }) if name == "db"));

        let mut sources = Sources::new(ServiceName::new("shop"), "1.0.0");
        let check = r#"[{ name = "db", url = "tcp://127.0.0.1:1" }]"#;
        sources
            .environment
            .push(("SHOP__READINESS__CHECKS".into(), check.into()));
        let checks = load(&sources).unwrap().settings.readiness.checks;
        let taken = Checks::start(&checks, vec![dependency()]);
        assert!(matches!(taken.err(), Some(CheckError::NameTaken { name }) if name == "db"));
    }

    #[cfg(not(feature = "check-redis"))]
    #[actix_web::test]
    async fn what_was_left_out_is_told_by_its_kind() {
        let mut sources = Sources::new(ServiceName::new("shop"), "1.0.0");
        let check = r#"[{ name = "cache", url = "redis://:hunter2@cache" }]"#;
        sources
            .environment
            .push(("SHOP__READINESS__CHECKS".into(), check.into()));
        let checks = load(&sources).unwrap().settings.readiness.checks;
        let error = Checks::start(&checks, Vec::new()).err().unwrap();
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert!(matches!(error, CheckError::NotBuiltIn { name, .. } if name == "cache"));
    }
}
