//! What a server tells its owner.

use std::net::SocketAddr;

use actix_http::StatusCode;

/// A request that never reached the application, because it is not HTTP or has no single meaning.
#[derive(Debug, Clone, Copy)]
pub struct Refusal {
    /// 400, 408, 413, 414, 431 or 503.
    pub status: StatusCode,
    /// The client.
    pub peer: SocketAddr,
    /// What was wrong, for the person who reads the answer.
    pub detail: &'static str,
}

/// The body of the answer to a refused request.
#[derive(Debug, Clone, Default)]
pub struct RefusalBody {
    /// Headers for it, such as its content type.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub bytes: Vec<u8>,
}

/// For what a connection has been closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eviction {
    /// For another connection, since there may be no more.
    Connections,
    /// Because the process is short of memory.
    Memory,
}

/// What a server tells its owner; one of each worker.
pub trait Events: 'static {
    /// A request was refused: counts it, logs it, and gives the body of its answer.
    fn refused(&self, refusal: &Refusal) -> RefusalBody;

    /// A connection has been closed for others.
    fn evicted(&self, _: Eviction) {}

    /// A connection has ended, or rests: there may be memory to give back.
    fn freed(&self) {}
}

/// Tells nobody; refusals are answered without a body.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoEvents;

impl Events for NoEvents {
    fn refused(&self, _: &Refusal) -> RefusalBody {
        RefusalBody::default()
    }
}
