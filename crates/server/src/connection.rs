//! A connection, as far as actix leaves it without limits.
//!
//! actix limits how long a client may take for the head of its first request, but not for the next
//! one's, and not how long it may leave an answer unread. Nor does it stop to read what a client
//! asks for next while that client takes no answers: a small request takes a hundred times its size
//! in memory.
//!
//! Nor does actix let go of a connection on which nothing comes; see [`crate::lobby`]. It can close one
//! that is idle, but makes a timer for each request and drops it at the next; one that the connection
//! keeps saves 3 % of a request's instructions.

use std::{
    cell::Cell,
    future::poll_fn,
    io,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use actix_rt::time::{Instant, Sleep, sleep};
use actix_server::GracefulShutdownSignal;
use berth_handlers::{Health, Timeout, health::Phase};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    head::{self, Head, Progress},
    lobby::GoingOn,
};

/// How long nothing comes on a connection before it waits in the lobby again. The way there and back
/// costs some 5 µs.
pub(crate) const REST: Duration = Duration::from_millis(100);

/// How long a connection waits for its client to go on.
#[derive(Debug, Clone)]
pub(crate) struct Patience {
    /// For the head of a request.
    pub(crate) header: Duration,
    /// For its body.
    pub(crate) request: Timeout,
    /// For the next request to begin. None when there is no next one.
    pub(crate) keep_alive: Option<Duration>,
}

impl Patience {
    /// What follows an answer can also be a body, after `100 Continue`. It has a limit of its own, so
    /// this one must not be shorter.
    fn get(&self) -> Duration {
        self.header.max(self.request.get())
    }

    fn timer(&self) -> Timer {
        Box::pin(sleep(self.get()))
    }
}

/// How often one that cannot is looked at before it is closed: up to an eighth of the timeout and a
/// moment late, never early.
const LOOKS: u32 = 8;

/// Whether a connection has been idle for long enough.
#[derive(Debug, Clone, Default)]
pub(crate) struct Idle(Rc<Cell<bool>>);

impl Idle {
    /// Ready when actix is to let go of the connection, once what is in flight on it has been answered:
    /// it is idle, or the server is `stopping`.
    pub(crate) async fn or(self, stopping: GracefulShutdownSignal, health: Arc<Health>) {
        let mut stopping = pin!(stopping.notified());
        let mut asked = false;
        poll_fn(|cx| {
            if self.0.get() {
                return Poll::Ready(());
            }
            // actix asks at every request, and to ask further takes a lock that all connections
            // share. The first time leaves the waker; then there is nothing to learn until the first
            // signal has come, from which on the phase tells.
            if asked && health.phase() != Phase::ShuttingDown {
                return Poll::Pending;
            }
            asked = true;
            stopping.as_mut().poll(cx)
        })
        .await;
    }
}

type Timer = Pin<Box<Sleep>>;

/// A byte stream that ends when its client makes it wait too long.
pub(crate) struct Connection<T> {
    /// Gone when it rests.
    io: Option<T>,
    /// What has been read of it and is actix's to have.
    read: Vec<u8>,
    patience: Patience,
    waiting: Waiting,
    /// The last read left more to read.
    more: bool,
    /// The last read ended with the end of a head, so that actix keeps no part of the next. It may keep
    /// whole ones: it takes no more than 16 ahead.
    clean: bool,
    idle: Idle,
    /// What has come of the next head, where actix has no part of it.
    begun: Option<Begun>,
    /// The next look whether it is idle, from its first answer on, and how long after the last.
    look: Option<(Timer, Duration)>,
    rest: Rest<T>,
}

/// What the client is waited for.
enum Waiting {
    /// For nothing, or for what actix or the handler waits for.
    Elsewhere,
    /// An answer has been written, and actix has been given nothing since, for as long as looks have
    /// found.
    Next {
        idle: Option<Duration>,
        /// actix has looked once more at what it had read.
        seen: bool,
    },
    /// actix has the beginning of the next head, which is to be complete before the time is up.
    Head { timer: Timer, end: head::End },
    /// It takes no more of the answer; it is to take some before the time is up.
    Reader { timer: Timer },
}

/// The beginning of the next head, which actix does not have, and the time until which it is to be
/// complete.
struct Begun {
    head: Head,
    timer: Timer,
}

/// The way back to the lobby.
struct Rest<T> {
    going_on: GoingOn,
    back: Rc<Cell<Option<Rested<T>>>>,
    turn: Turn,
    /// It is taken with an answer, and not only after a moment.
    at_once: bool,
}

/// What actix has let go of.
pub(crate) struct Rested<T> {
    pub(crate) io: T,
    /// What has been read of the next head, and the end of its time.
    pub(crate) begun: Option<(Head, Instant)>,
}

/// Whose turn it is on the way back. At each, nothing else wakes the connection: that
/// [`GoingOn::poll_again`] has it polled again is what goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Nobody's: it is not on its way.
    None,
    /// actix's, to ask whether something has come, for which it is too late now.
    Read,
    /// actix's, to shut the connection down.
    Shutdown,
}

impl<T> Connection<T> {
    /// `read` has been read of `io` before. Where the connection is to rest, `io` goes to `back`, either
    /// `at_once` or when nothing has come for [`REST`].
    pub(crate) fn new(
        io: T,
        read: Vec<u8>,
        patience: Patience,
        going_on: GoingOn,
        back: Rc<Cell<Option<Rested<T>>>>,
        at_once: bool,
    ) -> Self {
        Self {
            io: Some(io),
            clean: head::ends(&read),
            read,
            patience,
            waiting: Waiting::Elsewhere,
            more: false,
            idle: Idle::default(),
            begun: None,
            look: None,
            rest: Rest {
                going_on,
                back,
                turn: Turn::None,
                at_once,
            },
        }
    }

    pub(crate) fn idle(&self) -> Idle {
        self.idle.clone()
    }

    /// Something has been written, and what follows may be a pause.
    fn has_written(&mut self, cx: &mut Context<'_>) {
        let mut idle = None;
        if let Some(begun) = &mut self.begun {
            // The client was busy with an answer until now.
            let end = Instant::now() + self.patience.header;
            begun.timer.as_mut().reset(end);
        }
        // actix had read another request before, and it has been answered: the way back is off.
        self.rest.turn = Turn::None;
        if self.rest.at_once && self.rest.going_on.is_nothing() {
            self.rest.going_on.poll_again();
        }
        // One timer for all pauses; it is over only if it went off while nobody looked.
        if let Some(keep_alive) = self.patience.keep_alive
            && self
                .look
                .as_ref()
                .is_none_or(|(timer, _)| timer.is_elapsed())
        {
            let after = REST.min(keep_alive);
            let mut timer = Box::pin(sleep(after));
            // So that it wakes the task, whatever that waits for.
            let _ = timer.as_mut().poll(cx);
            self.look = Some((timer, after));
            idle = Some(Duration::ZERO);
        }
        self.waiting = Waiting::Next { idle, seen: false };
    }

    /// Looks whether the pause has become long enough.
    fn look(&mut self, cx: &mut Context<'_>) {
        let (Waiting::Next { idle, seen }, Some((timer, after)), Some(keep_alive)) =
            (&mut self.waiting, &mut self.look, self.patience.keep_alive)
        else {
            return;
        };
        let rests = || self.clean && self.rest.going_on.is_nothing();
        let mut rest = self.rest.at_once && rests();
        while !rest && timer.as_mut().poll(cx).is_ready() {
            match *idle {
                // The timer began before the pause did.
                None => {
                    *idle = Some(Duration::ZERO);
                    *after = REST.min(keep_alive);
                }
                // An answer pauses: that is not the client's.
                Some(_) if self.rest.going_on.is_answering() => {
                    *idle = Some(Duration::ZERO);
                    *after = keep_alive / LOOKS;
                }
                Some(_) if rests() => {
                    rest = true;
                    continue;
                }
                Some(so_far) if so_far + *after >= keep_alive => {
                    log::debug!("closing an idle connection");
                    self.let_go();
                    return;
                }
                Some(so_far) => {
                    *idle = Some(so_far + *after);
                    *after = keep_alive / LOOKS;
                }
            }
            timer.as_mut().reset(Instant::now() + *after);
        }
        if !rest {
            return;
        }
        if *seen {
            self.rest.turn = Turn::Read;
            self.let_go();
        } else {
            // In this poll actix has yet to look.
            *seen = true;
            self.rest.going_on.poll_again();
        }
    }

    /// Tells actix that it is to let go of the connection.
    fn let_go(&mut self) {
        self.waiting = Waiting::Elsewhere;
        self.idle.0.set(true);
        self.rest.going_on.poll_again();
    }

    /// Follows where the next head begins and ends. Whether actix is to have what has come as it is;
    /// otherwise it has been put aside, or is in `read`, whole.
    fn has_read(&mut self, bytes: &[u8]) -> bool {
        if bytes.is_empty() {
            self.clean = false;
            return true;
        }
        let ends = head::ends(bytes);
        match &mut self.waiting {
            // Nearly always.
            Waiting::Next { .. } if ends && head::begins(bytes) && self.begun.is_none() => {
                self.waiting = Waiting::Elsewhere;
            }
            // No part of the last request, for sure.
            Waiting::Next { .. } if self.clean && self.rest.going_on.is_nothing() => {
                self.put_aside(bytes);
                return false;
            }
            Waiting::Next { .. } => {
                let mut end = head::End::default();
                self.waiting = if end.is_in(bytes) {
                    Waiting::Elsewhere
                } else {
                    let timer = self.patience.timer();
                    Waiting::Head { timer, end }
                };
            }
            Waiting::Head { end, .. } => {
                if end.is_in(bytes) {
                    self.waiting = Waiting::Elsewhere;
                }
            }
            Waiting::Elsewhere | Waiting::Reader { .. } => {}
        }
        self.clean = ends;
        true
    }

    /// Keeps the beginning of a head until the rest of it has come. Meanwhile it stays `clean`.
    fn put_aside(&mut self, bytes: &[u8]) {
        let limit = self.patience.header;
        let mut begun = self.begun.take().unwrap_or_else(|| Begun {
            head: Head::default(),
            timer: Box::pin(sleep(limit)),
        });
        let progress = begun.head.push(bytes);
        if progress == Progress::Half {
            self.begun = Some(begun);
            return;
        }
        let end;
        (self.read, end) = begun.head.into_parts();
        self.clean = head::ends(&self.read);
        self.waiting = if progress == Progress::Whole {
            Waiting::Elsewhere
        } else {
            let timer = begun.timer;
            Waiting::Head { timer, end }
        };
    }

    /// Gives actix what is its to have. Whether there was anything.
    fn give(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        if self.read.is_empty() {
            return false;
        }
        let fits = self.read.len().min(buf.remaining());
        buf.put_slice(&self.read[..fits]);
        self.read.drain(..fits);
        if self.read.is_empty() {
            self.read = Vec::new();
        }
        true
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Connection<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match this.rest.turn {
            Turn::None => {}
            Turn::Read => {
                this.rest.turn = Turn::Shutdown;
                this.rest.going_on.poll_again();
                return Poll::Pending;
            }
            // actix has not let go of it at once, so it does not know what we know. Then it ends.
            Turn::Shutdown => this.rest.turn = Turn::None,
        }
        if this.give(buf) {
            return Poll::Ready(Ok(()));
        }
        if matches!(this.waiting, Waiting::Reader { .. }) {
            // What it asks for next can wait until it takes its answer, see `poll_write`.
            return Poll::Pending;
        }
        if this.more {
            // actix reads as long as there is something, before it looks at any of it.
            this.more = false;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        loop {
            let Some(io) = &mut this.io else {
                return Poll::Ready(Ok(()));
            };
            if Pin::new(io).poll_read(cx, buf)?.is_pending() {
                break;
            }
            let full = buf.remaining() == 0;
            if this.has_read(&buf.filled()[before..]) {
                this.more = full;
                return Poll::Ready(Ok(()));
            }
            buf.set_filled(before);
            if this.give(buf) {
                return Poll::Ready(Ok(()));
            }
        }
        let timer = match (&mut this.waiting, &mut this.begun) {
            (Waiting::Head { timer, .. }, _) | (_, Some(Begun { timer, .. })) => Some(timer),
            _ => None,
        };
        if timer.is_some_and(|timer| timer.as_mut().poll(cx).is_ready()) {
            log::debug!("a client took too long for the head of its next request");
            // To actix the client has hung up, so what is still to be answered is answered.
            this.waiting = Waiting::Elsewhere;
            this.begun = None;
            return Poll::Ready(Ok(()));
        }
        this.look(cx);
        Poll::Pending
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Connection<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let Some(io) = &mut this.io else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        if let Poll::Ready(written) = Pin::new(io).poll_write(cx, buf) {
            if matches!(this.waiting, Waiting::Reader { .. }) {
                // Nobody would be told of what has come in meanwhile.
                cx.waker().wake_by_ref();
            }
            this.has_written(cx);
            return Poll::Ready(written);
        }
        if !matches!(this.waiting, Waiting::Reader { .. }) {
            let timer = this.patience.timer();
            this.waiting = Waiting::Reader { timer };
        }
        if let Waiting::Reader { timer } = &mut this.waiting {
            ready!(timer.as_mut().poll(cx));
        }
        log::debug!("a client took too long to read its answer");
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Some(io) => Pin::new(io).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.rest.turn == Turn::Shutdown && self.rest.going_on.is_nothing() {
            let begun = self.begun.take();
            let begun = begun.map(|begun| (begun.head, begun.timer.deadline()));
            let io = self.io.take();
            self.rest.back.set(io.map(|io| Rested { io, begun }));
        }
        match &mut self.io {
            Some(io) => Pin::new(io).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}
