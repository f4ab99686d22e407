//! What can go wrong with an order, and how a client is told.

use actix_web::http::{StatusCode, header};
use berth_kit::Problem;
use sqlx::error::DatabaseError;
use uuid::Uuid;

/// Why an order is not read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such order.
    #[error("there is no order {0}")]
    NoSuchOrder(Uuid),
    /// It has been changed since the client read it.
    #[error("the order is at version {0} by now; read it again, then repeat your change")]
    Changed(i64),
    /// It is confirmed or rejected.
    #[error("the order is {0}; only a pending one can be changed")]
    NotPending(&'static str),
    /// Somebody else works on it.
    #[error("another request, or the worker, is at it; try again in a moment")]
    Busy,
    /// The same `Idempotency-Key` came with another body.
    #[error(
        "this Idempotency-Key was used for another body; use a new one for each order, and the same only to \
         repeat it"
    )]
    KeyReused,
    /// The database is not there, or has too much to do.
    #[error("the database does not answer")]
    Unavailable(#[source] sqlx::Error),
    /// The database refuses: a fault of this program.
    #[error("the database refuses")]
    Refused(#[source] sqlx::Error),
}

/// How long a client is to wait, in seconds.
const RETRY_AFTER: (header::HeaderName, u32) = (header::RETRY_AFTER, 1);

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(DatabaseError::code);
        // https://www.postgresql.org/docs/current/errcodes-appendix.html
        match (&error, code.as_deref()) {
            // It waited for what another statement holds for longer than `lock_timeout`.
            (_, Some("55P03")) => Self::Busy,
            // Connections, too many of them, cancelled, shut down, started, conflicts to be tried again.
            (_, Some(code))
                if ["08", "40", "53", "57"]
                    .iter()
                    .any(|class| code.starts_with(class)) =>
            {
                Self::Unavailable(error)
            }
            (
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed,
                _,
            ) => Self::Unavailable(error),
            _ => Self::Refused(error),
        }
    }
}

/// What the client may know. What the database says is for the log alone.
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::NoSuchOrder(_) => StatusCode::NOT_FOUND,
            Error::Changed(_) => StatusCode::PRECONDITION_FAILED,
            Error::NotPending(_) => StatusCode::CONFLICT,
            Error::Busy => {
                return Self::new(StatusCode::CONFLICT, error.to_string()).with_header(RETRY_AFTER);
            }
            Error::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Error::Unavailable(source) => {
                log::warn!("{error}: {source}");
                return overloaded("the database does not answer; try again in a moment");
            }
            Error::Refused(source) => {
                log::error!("{error}: {source}");
                return Self::internal();
            }
        };
        Self::new(status, error.to_string())
    }
}

/// 503, to be tried again soon.
#[must_use]
pub fn overloaded(detail: &'static str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).with_header(RETRY_AFTER)
}
