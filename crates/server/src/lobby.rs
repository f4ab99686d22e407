//! Where a connection waits while nothing is asked on it.
//!
//! With actix, a connection takes 18 kB from its first moment to its last, most of it for buffers.
//! So actix has a connection only from the end of a request's head until nothing has come for a
//! moment, in a crowd until it is answered. Before that, and after it, it waits here, where it takes
//! less than a tenth.
//!
//! What can come on a connection that actix has let go of must be the beginning of a request, or the
//! rest of a body would pass for one. So it stays with actix after a request that has a body, and
//! where actix may have read a part of the next, or a whole one that it has not begun.

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
    time::{Instant, sleep},
};
use actix_server::GracefulShutdownSignal;
use actix_service::Service;
use actix_web::dev::{Payload, ServiceRequest};
use berth_metrics::{Observe, Outcome, RouteId};
use futures_util::future::LocalBoxFuture;
use tokio::{
    io::{AsyncRead as _, AsyncWrite as _, ReadBuf},
    sync::Notify,
};

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
    async fn with<T>(&self, mut what: Pin<Box<impl Future<Output = T>>>) -> T {
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

/// Lets connections in to a service, each when a request has come on it.
pub(crate) struct Lobby<S>(pub(crate) Rc<Hall<S>>);

/// What all connections of a worker share.
pub(crate) struct Hall<S> {
    pub(crate) http: S,
    /// Of the connection that `http` was handed last, whose signal it asks for at once.
    pub(crate) idle: Rc<Cell<Idle>>,
    pub(crate) going_on: GoingOn,
    /// How many connections are with `http`.
    pub(crate) guests: Rc<Cell<usize>>,
    /// Told when one of them goes, or a connection ends: there may be memory to give back.
    pub(crate) freed: Rc<Notify>,
    pub(crate) patience: Patience,
    pub(crate) stopping: GracefulShutdownSignal,
}

/// What [`Lobby`] lets in.
pub(crate) type Guest = (Connection<TcpStream>, Protocol, Option<SocketAddr>);

type Back = Rc<Cell<Option<Rested<TcpStream>>>>;

impl<S> Service<TcpStream> for Lobby<S>
where
    S: Service<Guest, Response = (), Error = DispatchError> + 'static,
{
    type Response = ();
    type Error = DispatchError;
    type Future = LocalBoxFuture<'static, Result<(), DispatchError>>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), DispatchError>> {
        self.0.http.poll_ready(cx)
    }

    fn call(&self, mut stream: TcpStream) -> Self::Future {
        let hall = Rc::clone(&self.0);
        Box::pin(async move {
            let _tells = Tells(&hall.freed);
            let peer = stream.peer_addr().ok();
            let mut head = hall.first(&mut stream).await?;
            let mut busy = false;
            while let Some(read) = head {
                // One request of each of thousands in the same moment is not to take the memory of
                // them all. Who goes on asking is not sent out and in each time.
                let at_once = hall.guests.get() >= CROWD && !busy;
                let (visit, back) = hall.let_in(stream, peer, read, at_once);
                let present = Present::new(&hall.guests);
                hall.going_on.with(visit).await?;
                drop(present);
                hall.freed.notify_one();
                let Some(Rested { io, begun }) = back.take() else {
                    break;
                };
                stream = io;
                let since = Instant::now();
                let rested = if at_once { Duration::ZERO } else { REST };
                head = hall.next(&mut stream, begun, rested).await?;
                busy = at_once && since.elapsed() < REST;
            }
            Ok(())
        })
    }
}

/// Counts a connection for as long as it is with the service.
struct Present<'a>(&'a Cell<usize>);

impl<'a> Present<'a> {
    fn new(guests: &'a Cell<usize>) -> Self {
        guests.set(guests.get() + 1);
        Self(guests)
    }
}

impl Drop for Present<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Tells that a connection has ended.
struct Tells<'a>(&'a Notify);

impl Drop for Tells<'_> {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl<S> Hall<S> {
    /// Waits for the first head. `None` when there is none.
    async fn first(&self, stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
        let mut head = Head::default();
        let limit = self.patience.header;
        match self.wait(limit, |cx| to_end(stream, cx, &mut head)).await {
            Ok(come) => Ok(come?.then(|| head.into_parts().0)),
            Err(Over::Time) => {
                log::debug!("a client took too long for the head of its first request");
                poll_fn(|cx| Pin::new(&mut *stream).poll_write(cx, TIMEOUT)).await?;
                Ok(None)
            }
            Err(Over::Stop) => Ok(None),
        }
    }

    /// Waits for the head of another request, after one has `rested` without. `None` when there is none.
    async fn next(
        &self,
        stream: &mut TcpStream,
        begun: Option<(Head, Instant)>,
        rested: Duration,
    ) -> io::Result<Option<Vec<u8>>> {
        let (mut head, limit) = if let Some((head, end)) = begun {
            (head, end.saturating_duration_since(Instant::now()))
        } else {
            let idle = self.patience.keep_alive.unwrap_or_default();
            let idle = idle.saturating_sub(rested);
            match self.wait(idle, |cx| stream.poll_read_ready(cx)).await {
                Ok(begun) => begun?,
                Err(Over::Time) => {
                    log::debug!("closing an idle connection");
                    return Ok(None);
                }
                Err(Over::Stop) => return Ok(None),
            }
            (Head::default(), self.patience.header)
        };
        match self.wait(limit, |cx| to_end(stream, cx, &mut head)).await {
            Ok(come) => Ok(come?.then(|| head.into_parts().0)),
            Err(Over::Time) => {
                log::debug!("a client took too long for the head of its next request");
                Ok(None)
            }
            Err(Over::Stop) => Ok(None),
        }
    }

    /// Waits until it is `ready`, within `limit`, and until the server stops.
    async fn wait<T>(
        &self,
        limit: Duration,
        mut ready: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Result<T, Over> {
        // Thousands wait here, each with all that is in this future.
        let mut time = pin!(sleep(limit));
        let mut stop = pin!(self.stopping.notified());
        poll_fn(|cx| {
            if let Poll::Ready(outcome) = ready(cx) {
                return Poll::Ready(Ok(outcome));
            }
            if time.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(Over::Time));
            }
            stop.as_mut().poll(cx).map(|()| Err(Over::Stop))
        })
        .await
    }
}

impl<S: Service<Guest>> Hall<S> {
    /// Hands a connection to the service, of which `read` has been read. It comes back by the second,
    /// unless it ends. The first is in a box, which is not there while the connection waits.
    fn let_in(
        &self,
        stream: TcpStream,
        peer: Option<SocketAddr>,
        read: Vec<u8>,
        at_once: bool,
    ) -> (Pin<Box<S::Future>>, Back) {
        let back = Back::default();
        let connection = Connection::new(
            stream,
            read,
            self.patience.clone(),
            self.going_on.clone(),
            Rc::clone(&back),
            at_once,
        );
        self.idle.set(connection.idle());
        let visit = self.http.call((connection, Protocol::Http1, peer));
        (Box::pin(visit), back)
    }
}

/// Why something is not waited for any longer.
enum Over {
    Time,
    Stop,
}

/// Reads to the end of a head, and what comes with it. `false` when the client leaves before.
fn to_end(stream: &mut TcpStream, cx: &mut Context<'_>, head: &mut Head) -> Poll<io::Result<bool>> {
    loop {
        match ready!(read(stream, cx, head))? {
            None => return Poll::Ready(Ok(false)),
            Some(Progress::Half) => {}
            Some(Progress::Whole | Progress::Refused) => return Poll::Ready(Ok(true)),
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
