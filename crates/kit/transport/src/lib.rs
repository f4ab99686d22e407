//! Sockets and connections for an actix-web `App`.
//!
//! actix-server accepts connections, hands them to its workers and drains them at the stop; hyper drives
//! HTTP/1 on each connection; the `App` answers. Between them stands an adapter that turns hyper's request
//! into actix's and actix's answer into hyper's. What a request says of itself (its method, version,
//! `Connection`, `Upgrade`, lengths) decides its own answer and no other's, because hyper begins a request
//! only when the one ahead of it has been answered.
//!
//! This crate knows no route, no metric and no setting: see [`Events`] for what it tells its owner.
//!
//! ```no_run
//! use std::{net::SocketAddr, time::Duration};
//!
//! use actix_http::{HttpMessage as _, Request, Response, body::BoxBody};
//! use actix_service::fn_service;
//! use berth_kit_transport::{NoEvents, Options, Timeouts, listen, serve};
//!
//! # async fn run() -> std::io::Result<()> {
//! let address = SocketAddr::from(([127, 0, 0, 1], 8080));
//! let options = Options {
//!     timeouts: Timeouts::default(),
//!     ..Options::default()
//! };
//! let listeners = vec![listen::bind(address, 1024)?];
//! let serving = serve(listeners, &options, || {
//!     let app = fn_service(|req: Request| async move {
//!         Ok::<_, actix_http::Error>(Response::ok().set_body(BoxBody::new(req.path().to_owned())))
//!     });
//!     (app, NoEvents)
//! })?;
//! let handle = serving.server.handle();
//! # let signal = async {};
//! let stop = async {
//!     signal.await;
//!     serving.stop.drain();
//!     serving.stop.close(Duration::from_secs(5)).await;
//!     handle.stop(true).await;
//! };
//! # futures_util::future::join(serving.server, stop).await.0
//! # }
//! ```

pub mod bind;
mod closing;
mod connection;
mod events;
mod eviction;
mod framing;
mod http1;
pub mod listen;
mod places;
mod server;
mod stop;
mod stream;
#[cfg(any(test, fuzzing))]
mod tests;
mod timeouts;
mod waiting;
mod worker;

#[cfg(any(test, fuzzing))]
pub use tests::laws;

pub use events::{Events, Eviction, NoEvents, Refusal, RefusalBody};
pub use places::CONNECTION_MEMORY;
pub use server::{Options, Serving, serve};
pub use stop::{Stop, StopToken};
pub use stream::proxy::ProxyProtocol;
pub use timeouts::Timeouts;
