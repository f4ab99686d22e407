//! One connection, from its first moment to its last.

use std::{
    cell::RefCell,
    future::poll_fn,
    io, mem,
    net::SocketAddr,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use actix_http::{
    Request, Response,
    body::{BoxBody, MessageBody},
};
use actix_rt::time::{Instant, Sleep, sleep_until};
use actix_service::Service;
use bytes::Bytes;
use hyper::server::conn::http1;

use crate::{
    closing::{LastLook, close, explain, refuse},
    events::Events,
    framing::MAX_HEAD,
    http1::adapter::Adapter,
    stop::Stop,
    stream::{
        ByteStream, Stream, Unread,
        activity::{Activity, Phase},
        is_broken,
        proxy::{self, Missing, Preface, ProxyProtocol},
        unread, upgrade,
    },
    timeouts::Timeouts,
};

/// How long a stop waits for the first byte on a connection: its client has made it in order to send one.
const FIRST_BYTE: Duration = Duration::from_secs(1);

/// How long HTTP is kept after an answer. To begin it anew costs some µs.
const REST: Duration = Duration::from_secs(1);

/// How often it is looked whether a client has broken the connection where something of it is unread, if only that
/// it sends no more: tokio tells of nothing else then.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What all connections of a worker share.
pub(crate) struct Worker<S, E> {
    application: Rc<S>,
    events: Rc<E>,
    timeouts: Timeouts,
    proxy: Option<ProxyProtocol>,
    stop: Arc<Stop>,
    http: http1::Builder,
}

impl<S, E> Worker<S, E> {
    pub(crate) fn new(
        application: S,
        events: E,
        timeouts: Timeouts,
        proxy: Option<ProxyProtocol>,
        stop: Arc<Stop>,
    ) -> Self {
        let mut http = http1::Builder::new();
        http.keep_alive(timeouts.keep_alive.is_some())
            // Ours: hyper's makes a timer for each request.
            .header_read_timeout(None)
            // A client may say that it sends no more, and still wait for its answers.
            .half_close(true)
            .max_buf_size(MAX_HEAD)
            .auto_date_header(false)
            // Most answers are small, and one buffer is cheaper than a list.
            .writev(false);
        Self {
            application: Rc::new(application),
            events: Rc::new(events),
            timeouts,
            proxy,
            stop,
            http,
        }
    }
}

impl<S, E: Events> Worker<S, E> {
    /// What stands before HTTP: a PROXY header, where the peer speaks that. `None`: it is not there, and the peer has
    /// been told.
    async fn preface(&self, io: &mut impl ByteStream, peer: SocketAddr) -> Option<Preface> {
        let Some(proxy) = &self.proxy else {
            return Some(Preface::none(peer));
        };
        if !proxy.is_spoken_by(peer.ip()) {
            return Some(Preface::none(peer));
        }
        // In a box, so that no other connection has room for it.
        match Box::pin(proxy::read(io, peer, self.timeouts.head, &self.stop)).await {
            Ok(preface) => Some(preface),
            Err(Missing::Gone) => None,
            Err(Missing::Wrong(wrong)) => {
                let outcome = refuse(io, peer, &*self.events, wrong).await;
                close(io, outcome).await;
                None
            }
        }
    }
}

/// Why HTTP is not spoken any longer, or not for now.
enum End {
    /// It has come to its end, well or not.
    Http(hyper::Result<()>),
    /// The client took too long for what was waited for.
    TimedOut(Phase),
    /// The client has broken the connection while the application was waited for.
    Broken,
    /// The server stops, and nothing of a request has come.
    Stopped,
    /// Nothing has come for a while.
    Rests,
}

/// Serves a connection until it ends.
pub(crate) async fn serve<T, S, B, E>(mut io: T, peer: SocketAddr, worker: Rc<Worker<S, E>>)
where
    T: ByteStream,
    S: Service<Request> + 'static,
    S::Response: Into<Response<B>>,
    S::Error: Into<Response<BoxBody>>,
    B: MessageBody + 'static,
    E: Events,
{
    // Dropped while it is busy, it has been cut off: so it goes first where the worker ends.
    let open = worker.stop.connections.open(peer);
    let activity = Rc::new(Activity::new(open.busy()));
    let upgraded = Rc::new(RefCell::new(None));
    let mut waiting = Waiting::new();
    let Some(Preface { client, mut read }) = worker.preface(&mut io, peer).await else {
        return;
    };
    if !read.is_empty() {
        activity.read(&read);
    }
    let io = Rc::new(RefCell::new(io));
    let last_look = LastLook::new(&io, &activity);
    let end = {
        let mut timer = pin!(sleep_until(waiting.since));
        let mut closing = pin!(worker.stop.closing());
        loop {
            // As long as nothing comes there is none: its buffers are most of what a connection takes.
            let mut http = None;
            let end = poll_fn(|cx| {
                if http.is_none() && (!read.is_empty() || has_come(&*io.borrow(), cx)) {
                    let adapter = Adapter {
                        application: Rc::clone(&worker.application),
                        events: Rc::clone(&worker.events),
                        peer: client,
                        stop: worker.stop.token(),
                        activity: Rc::clone(&activity),
                        upgrade: Rc::clone(&upgraded),
                    };
                    let read = mem::take(&mut read);
                    let stream = Stream::new(Rc::clone(&io), read, Rc::clone(&activity));
                    http = Some(Box::new(worker.http.serve_connection(stream, adapter)));
                }
                if let Some(http) = &mut http
                    && let Poll::Ready(ended) = Pin::new(&mut **http).poll(cx)
                {
                    return Poll::Ready(End::Http(ended));
                }
                if !worker.stop.is_closing() {
                    let _ = closing.as_mut().poll(cx);
                }
                let situation = Situation {
                    phase: activity.phase(),
                    http: http.is_some() && activity.may_rest(),
                    broken: activity.broken.get(),
                    closing: worker.stop.is_closing() && activity.is_idle(),
                };
                if let Some(end) = waiting.look(cx, situation, &*io.borrow()) {
                    return Poll::Ready(end);
                }
                waiting.poll(cx, timer.as_mut(), situation, &worker.timeouts)
            })
            .await;
            if let Some(http) = http {
                // A slice would keep the whole buffer.
                read = Bytes::copy_from_slice(&http.into_parts().read_buf);
            }
            match end {
                // The beginning of a request had come along with the one before.
                End::Rests | End::Stopped if !read.is_empty() => activity.has_begun(),
                End::Rests => worker.events.freed(),
                end => break end,
            }
        }
    };
    last_look.disarm();
    let upgraded = upgraded.take();
    let Some(mut io) = Rc::into_inner(io).map(RefCell::into_inner) else {
        return;
    };
    let outcome = match (end, upgraded) {
        (End::Http(Ok(())), Some(upgrade)) => {
            let idle = worker.timeouts.upgraded;
            upgrade::carry(&mut io, read, upgrade, idle).await
        }
        // Nothing has been answered, so no answer can be lost.
        (End::Stopped, _) if activity.phase() == Phase::FirstHead => {
            Err(io::ErrorKind::ConnectionAborted.into())
        }
        (End::Http(Ok(())) | End::Stopped | End::Rests, _) => Ok(()),
        (End::Http(Err(error)), _) if error.is_parse() => {
            let wrong = explain(&activity);
            refuse(&mut io, client, &*worker.events, wrong).await
        }
        (End::Http(Err(error)), _) => Err(io::Error::other(error)),
        (End::TimedOut(Phase::FirstHead), _) => {
            let wrong = (408, "the head of the request did not arrive in time");
            refuse(&mut io, client, &*worker.events, wrong).await
        }
        (End::TimedOut(phase), _) => {
            log::debug!("closing a connection whose client took too long ({phase:?})");
            match phase {
                Phase::Unread(_) => Err(io::ErrorKind::TimedOut.into()),
                _ => Ok(()),
            }
        }
        (End::Broken, _) => Err(io::ErrorKind::ConnectionReset.into()),
    };
    activity.ended();
    close(&mut io, outcome).await;
    drop(open);
    worker.events.freed();
}

/// What a connection is about.
#[derive(Clone, Copy)]
struct Situation {
    phase: Phase,
    /// HTTP is spoken on it, and has its buffers.
    http: bool,
    /// The client has broken it.
    broken: bool,
    /// The server stops, and nothing of a request has come.
    closing: bool,
}

impl Situation {
    /// How long it may last.
    fn limit(self, timeouts: &Timeouts) -> Option<Duration> {
        match self.phase {
            Phase::FirstHead if self.closing => Some(timeouts.head.min(FIRST_BYTE)),
            Phase::FirstHead | Phase::Head(_) => Some(timeouts.head),
            Phase::Idle(_) => timeouts.keep_alive,
            Phase::Answering => None,
            Phase::Unread(_) => Some((timeouts.unread)()),
        }
    }
}

/// What is waited for, and since when.
struct Waiting {
    phase: Phase,
    since: Instant,
    /// Nobody tells when the client breaks the connection.
    untold: bool,
}

impl Waiting {
    fn new() -> Self {
        Self {
            phase: Phase::FirstHead,
            since: Instant::now(),
            untold: false,
        }
    }

    /// Asks the socket for what hyper does not see.
    fn look(&mut self, cx: &mut Context<'_>, now: Situation, io: &impl ByteStream) -> Option<End> {
        if now.closing {
            let first = now.phase == Phase::FirstHead && self.since.elapsed() < FIRST_BYTE;
            return match unread(io) {
                // tokio will soon see it, too.
                Unread::Bytes => None,
                Unread::Nothing if first => None,
                Unread::Nothing | Unread::End | Unread::Broken => Some(End::Stopped),
            };
        }
        // hyper does not read while it waits for an answer.
        let is_answering = now.phase == Phase::Answering;
        self.untold = is_answering && io.tcp().poll_read_ready(cx).is_ready();
        let broken = (is_answering && now.broken) || (self.untold && is_broken(io));
        broken.then_some(End::Broken)
    }

    /// Ready when this has lasted for too long. There is one timer for all: it is only ever set to an
    /// earlier time, or anew once it has gone off, so that a busy connection hardly touches it.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut timer: Pin<&mut Sleep>,
        now: Situation,
        timeouts: &Timeouts,
    ) -> Poll<End> {
        if now.phase != self.phase {
            self.phase = now.phase;
            self.since = Instant::now();
        }
        let Some(limit) = now.limit(timeouts) else {
            if self.untold {
                wake_by(cx, timer, Instant::now() + LOOK_AGAIN);
            }
            return Poll::Pending;
        };
        let rests = now.http && matches!(now.phase, Phase::Idle(_)) && REST < limit;
        let end = self.since + if rests { REST } else { limit };
        if timer.deadline() > end {
            timer.as_mut().reset(end);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= end {
                return Poll::Ready(if rests {
                    End::Rests
                } else {
                    End::TimedOut(now.phase)
                });
            }
            timer.as_mut().reset(end);
        }
        Poll::Pending
    }
}

/// Whether there is something to read.
fn has_come(io: &impl ByteStream, cx: &mut Context<'_>) -> bool {
    io.has_buffered() || io.tcp().poll_read_ready(cx).is_ready()
}

/// Has the connection looked at again at this time, or earlier.
fn wake_by(cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>, time: Instant) {
    if timer.deadline() > time {
        timer.as_mut().reset(time);
    }
    while timer.as_mut().poll(cx).is_ready() {
        timer.as_mut().reset(time);
    }
}
