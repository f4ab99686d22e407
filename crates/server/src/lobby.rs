//! Where a connection waits while nothing is asked on it.
//!
//! With actix, a connection takes 18 kB from its first moment to its last, most of it for buffers,
//! and what thousands of them have taken, the allocator does not give back. So actix has a connection
//! only from the end of a request's head until nothing has come for a moment. Before that, and after
//! it, it waits here, where it takes less than a tenth.
//!
//! What can come on a connection that actix has let go of must be the beginning of a request, or the
//! rest of a body would pass for one. So it stays with actix after a request that has a body, and
//! where actix may have read a part of the next.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    io, mem,
    net::SocketAddr,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use actix_http::{Protocol, error::DispatchError};
use actix_rt::{
    net::TcpStream,
    time::{Instant, timeout},
};
use actix_server::GracefulShutdownSignal;
use actix_service::{Service, forward_ready};
use actix_web::dev::{Payload, ServiceRequest};
use berth_metrics::{Observe, Outcome, RouteId};
use futures_util::future::{Either, LocalBoxFuture, select};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use crate::{
    connection::{Connection, Idle, Patience, REST, Rested},
    head::{Head, Progress},
};

/// So many connections of a worker are a crowd when they are with actix.
const CROWD: usize = 128;

/// How much is read at a time, in bytes: as long as most heads are.
const PIECE: usize = 1024;

/// The answer to half a head.
const TIMEOUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// What is going on on the connection that the worker is just busy with. [`Lobby`] puts in what belongs
/// to the connection, so that a request need not look for it.
#[derive(Debug, Clone, Default)]
pub(crate) struct GoingOn(Rc<Cell<State>>);

#[derive(Debug, Clone, Copy, Default)]
struct State {
    in_flight: usize,
    /// The last request has a body, which may not have come yet.
    body: bool,
    /// There is more to do without waiting.
    again: bool,
}

impl GoingOn {
    /// Whether the connection has nothing to do until its next request.
    pub(crate) fn is_nothing(&self) -> bool {
        let state = self.0.get();
        state.in_flight == 0 && !state.body
    }

    /// Whether it has an answer that is not complete.
    pub(crate) fn is_answering(&self) -> bool {
        self.0.get().in_flight > 0
    }

    /// Has the connection polled again at once, and not after all others that are ready.
    pub(crate) fn poll_again(&self) {
        let state = self.0.get();
        self.0.set(State {
            again: true,
            ..state
        });
    }

    /// Completes with `what`, which is all that goes on on one connection.
    async fn with<T>(&self, what: impl Future<Output = T>) -> T {
        // In a box, which is not there while the connection waits.
        let mut what = Box::pin(what);
        let mut own = State::default();
        poll_fn(|cx| {
            loop {
                self.0.set(own);
                let outcome = what.as_mut().poll(cx);
                own = self.0.get();
                if outcome.is_ready() || !mem::take(&mut own.again) {
                    return outcome;
                }
            }
        })
        .await
    }
}

impl Observe for GoingOn {
    type Record = ();

    fn begin(&self, (): &mut (), req: &ServiceRequest, _: RouteId) {
        let (_, payload) = req.parts();
        let state = self.0.get();
        self.0.set(State {
            in_flight: state.in_flight + 1,
            body: !matches!(payload, Payload::None),
            ..state
        });
    }

    fn end(&self, (): &mut (), _: &Outcome) {
        let state = self.0.get();
        self.0.set(State {
            // At the very end, one may be dropped while nobody is busy with its connection.
            in_flight: state.in_flight.saturating_sub(1),
            ..state
        });
    }
}

/// Lets connections in to the service `http`, each when a request has come on it.
pub(crate) struct Lobby<S> {
    pub(crate) http: Rc<S>,
    /// Of the connection that `http` was handed last, whose signal it asks for at once.
    pub(crate) idle: Rc<Cell<Idle>>,
    pub(crate) going_on: GoingOn,
    /// How many connections are with `http`.
    pub(crate) guests: Rc<Cell<usize>>,
    pub(crate) patience: Patience,
    pub(crate) stopping: GracefulShutdownSignal,
}

/// What [`Lobby`] lets in to.
pub(crate) type Guest = (Connection<TcpStream>, Protocol, Option<SocketAddr>);

impl<S> Service<TcpStream> for Lobby<S>
where
    S: Service<Guest, Response = (), Error = DispatchError> + 'static,
{
    type Response = ();
    type Error = DispatchError;
    type Future = LocalBoxFuture<'static, Result<(), DispatchError>>;

    forward_ready!(http);

    fn call(&self, mut stream: TcpStream) -> Self::Future {
        let http = Rc::clone(&self.http);
        let idle = Rc::clone(&self.idle);
        let going_on = self.going_on.clone();
        let guests = Rc::clone(&self.guests);
        let patience = self.patience.clone();
        let stopping = self.stopping.clone();
        Box::pin(async move {
            let peer = stream.peer_addr().ok();
            let mut head = match wait(
                patience.header,
                &stopping,
                rest(&mut stream, Head::default()),
            )
            .await
            {
                Ok(head) => head?,
                Err(Over::Time) => {
                    log::debug!("a client took too long for the head of its first request");
                    poll_fn(|cx| Pin::new(&mut stream).poll_write(cx, TIMEOUT)).await?;
                    None
                }
                Err(Over::Stop) => None,
            };
            let mut busy = false;
            while let Some(first) = head {
                // One request of each of thousands in the same moment is not to take the memory of
                // them all. Who goes on asking is not sent out and in each time.
                let at_once = guests.get() >= CROWD && !busy;
                let rested = Rc::default();
                let connection = Connection::new(
                    stream,
                    first,
                    patience.clone(),
                    going_on.clone(),
                    Rc::clone(&rested),
                    at_once,
                );
                idle.set(connection.idle());
                guests.set(guests.get() + 1);
                let outcome = going_on
                    .with(http.call((connection, Protocol::Http1, peer)))
                    .await;
                guests.set(guests.get() - 1);
                outcome?;
                let Some(Rested { io, begun }) = rested.take() else {
                    break;
                };
                stream = io;
                let since = Instant::now();
                head = next(&mut stream, begun, &patience, &stopping).await?;
                busy = at_once && since.elapsed() < REST;
            }
            Ok(())
        })
    }
}

/// Waits for the head of another request, after a moment without one. `None` when there is none.
async fn next(
    stream: &mut TcpStream,
    begun: Option<(Head, Instant)>,
    patience: &Patience,
    stopping: &GracefulShutdownSignal,
) -> io::Result<Option<Vec<u8>>> {
    let (head, limit) = if let Some((head, end)) = begun {
        (head, end.saturating_duration_since(Instant::now()))
    } else {
        let idle = patience.keep_alive.unwrap_or_default();
        match wait(idle.saturating_sub(REST), stopping, stream.readable()).await {
            Ok(begun) => begun?,
            Err(Over::Time) => {
                log::debug!("closing an idle connection");
                return Ok(None);
            }
            Err(Over::Stop) => return Ok(None),
        }
        (Head::default(), patience.header)
    };
    match wait(limit, stopping, rest(stream, head)).await {
        Ok(head) => head,
        Err(Over::Time) => {
            log::debug!("a client took too long for the head of its next request");
            Ok(None)
        }
        Err(Over::Stop) => Ok(None),
    }
}

/// Why something is not waited for any longer.
enum Over {
    Time,
    Stop,
}

/// Waits for `what` within `limit`, and until the server stops.
async fn wait<T>(
    limit: Duration,
    stopping: &GracefulShutdownSignal,
    what: impl Future<Output = T>,
) -> Result<T, Over> {
    match select(pin!(timeout(limit, what)), pin!(stopping.notified())).await {
        Either::Left((Ok(outcome), _)) => Ok(outcome),
        Either::Left((Err(_), _)) => Err(Over::Time),
        Either::Right(_) => Err(Over::Stop),
    }
}

/// Reads to the end of a head, and what comes with it. `None` when the client leaves before.
async fn rest(stream: &mut TcpStream, mut head: Head) -> io::Result<Option<Vec<u8>>> {
    loop {
        match poll_fn(|cx| read(stream, cx, &mut head)).await? {
            None => return Ok(None),
            Some(Progress::Half) => {}
            Some(Progress::Whole | Progress::Refused) => return Ok(Some(head.into_parts().0)),
        }
    }
}

/// `None` when there is no more.
fn read(
    stream: &mut TcpStream,
    cx: &mut Context<'_>,
    head: &mut Head,
) -> Poll<io::Result<Option<Progress>>> {
    // Not kept while it waits.
    let mut piece = [0; PIECE];
    let mut buffer = ReadBuf::new(&mut piece);
    ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
    let read = buffer.filled();
    Poll::Ready(Ok((!read.is_empty()).then(|| head.push(read))))
}
