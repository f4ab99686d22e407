//! A connection, as far as actix leaves it without limits.
//!
//! actix limits how long a client may take for the head of its first request, but not for the next
//! one's, and not how long it may leave an answer unread. Nor does it stop to read what a client
//! asks for next while that client takes no answers: a small request takes a hundred times its size
//! in memory.
//!
//! Idle connections are closed here as well. actix can do that, but makes a timer for each request
//! and drops it at the next; one that a connection keeps saves 3 % of a request's instructions.

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

/// How often an idle connection is looked at before it is closed: up to an eighth of the timeout
/// late, never early.
const LOOKS: u32 = 8;

/// Whether a connection has been idle for too long.
#[derive(Debug, Clone, Default)]
pub(crate) struct Idle(Rc<Cell<bool>>);

impl Idle {
    /// Ready when actix is to end the connection, once what is in flight on it has been answered: it
    /// is idle, or the server is `stopping`.
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
    io: T,
    patience: Patience,
    waiting: Waiting,
    /// The last read left more to read.
    more: bool,
    idle: Idle,
    /// The next look whether it is idle, from its first answer on.
    look: Option<Timer>,
}

/// What the client is waited for.
enum Waiting {
    /// For nothing, or for what actix or the handler waits for.
    Elsewhere,
    /// An answer has been written, and nothing has been read since. So many looks have found it so.
    Next { looks: u32 },
    /// The next head has begun, and is to be complete before the time is up.
    Head { timer: Timer, end: HeadEnd },
    /// It takes no more of the answer; it is to take some before the time is up.
    Reader { timer: Timer },
}

impl<T> Connection<T> {
    pub(crate) fn new(io: T, patience: Patience) -> Self {
        Self {
            io,
            patience,
            waiting: Waiting::Elsewhere,
            more: false,
            idle: Idle::default(),
            look: None,
        }
    }

    pub(crate) fn idle(&self) -> Idle {
        self.idle.clone()
    }

    /// Something has been written, and what follows may be a pause.
    fn has_written(&mut self, cx: &mut Context<'_>) {
        self.waiting = Waiting::Next { looks: 0 };
        let Some(keep_alive) = self.patience.keep_alive else {
            return;
        };
        // One timer for all pauses; it is over only if it went off while nobody looked.
        if self.look.as_ref().is_none_or(|timer| timer.is_elapsed()) {
            let mut timer = Box::pin(sleep(keep_alive / LOOKS));
            // So that it wakes the task, whatever that waits for.
            let _ = timer.as_mut().poll(cx);
            self.look = Some(timer);
        }
    }

    /// Looks whether the pause has become too long.
    fn look(&mut self, cx: &mut Context<'_>) {
        let (Waiting::Next { looks }, Some(timer), Some(keep_alive)) =
            (&mut self.waiting, &mut self.look, self.patience.keep_alive)
        else {
            return;
        };
        while timer.as_mut().poll(cx).is_ready() {
            // The first look does not count: the timer began before the pause did.
            if *looks == LOOKS {
                log::debug!("closing an idle connection");
                self.idle.0.set(true);
                // Where actix learns of it.
                cx.waker().wake_by_ref();
                self.waiting = Waiting::Elsewhere;
                return;
            }
            *looks += 1;
            timer.as_mut().reset(Instant::now() + keep_alive / LOOKS);
        }
    }

    /// Follows where the next head begins and ends.
    fn has_read(&mut self, bytes: &[u8]) {
        let complete = match &mut self.waiting {
            Waiting::Next { .. } if bytes.ends_with(b"\r\n\r\n") => true,
            Waiting::Next { .. } => {
                let mut end = HeadEnd::default();
                let complete = end.is_in(bytes);
                if !complete {
                    let timer = self.patience.timer();
                    self.waiting = Waiting::Head { timer, end };
                }
                complete
            }
            Waiting::Head { end, .. } => end.is_in(bytes),
            Waiting::Elsewhere | Waiting::Reader { .. } => false,
        };
        if complete {
            self.waiting = Waiting::Elsewhere;
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Connection<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
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
        if Pin::new(&mut this.io).poll_read(cx, buf)?.is_ready() {
            this.more = buf.remaining() == 0;
            this.has_read(&buf.filled()[before..]);
            return Poll::Ready(Ok(()));
        }
        if let Waiting::Head { timer, .. } = &mut this.waiting {
            ready!(timer.as_mut().poll(cx));
            log::debug!("a client took too long for the head of its next request");
            // To actix the client has hung up, so what is still to be answered is answered.
            this.waiting = Waiting::Elsewhere;
            return Poll::Ready(Ok(()));
        }
        this.look(cx);
        Poll::Pending
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Connection<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if let Poll::Ready(written) = Pin::new(&mut this.io).poll_write(cx, buf) {
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
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Finds the empty line that ends a head, in pieces as they come. Lines end with CR LF, or with LF
/// alone, which actix takes too.
#[derive(Debug, Default)]
struct HeadEnd {
    /// Nothing has come since the last LF, or only a CR.
    at_line: bool,
}

impl HeadEnd {
    fn is_in(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            match byte {
                b'\n' if self.at_line => return true,
                b'\n' => self.at_line = true,
                b'\r' => {}
                _ => self.at_line = false,
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::HeadEnd;

    #[test]
    fn a_head_ends_with_an_empty_line() {
        for (pieces, ends) in [
            (vec!["GET / HTTP/1.1\r\nHost: t\r\n\r\n"], true),
            (vec!["GET / HTTP/1.1\nHost: t\n\n"], true),
            (vec!["GET / HTTP/1.1\r\nHost: t\r\n\r\nbody"], true),
            (vec!["GET / HTTP/1.1\r", "\n", "\r", "\n"], true),
            (vec!["GET / HTTP/1.1\r\n", "Host: t\r\n"], false),
            (vec!["GET / HTTP/1.1\r\n", "\r"], false),
            (vec!["\r"], false),
            (vec![""], false),
        ] {
            let mut end = HeadEnd::default();
            let found = pieces.iter().any(|piece| end.is_in(piece.as_bytes()));
            assert_eq!(found, ends, "{pieces:?}");
        }
    }
}
