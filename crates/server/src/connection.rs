//! A connection, as far as actix leaves it without limits.
//!
//! actix limits how long a client may take for the head of its first request, but not for the next
//! one's, and not how long it may leave an answer unread. Nor does it stop to read what a client
//! asks for next while that client takes no answers: a small request takes a hundred times its size
//! in memory.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use actix_rt::time::{Sleep, sleep};
use berth_handlers::Timeout;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How long a connection waits for its client to go on.
#[derive(Debug, Clone)]
pub(crate) struct Patience {
    /// For the head of a request.
    pub(crate) header: Duration,
    /// For its body.
    pub(crate) request: Timeout,
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

type Timer = Pin<Box<Sleep>>;

/// A byte stream that ends when its client makes it wait too long.
pub(crate) struct Connection<T> {
    io: T,
    patience: Patience,
    waiting: Waiting,
    /// The last read left more to read.
    more: bool,
}

/// What the client is waited for.
enum Waiting {
    /// For nothing, or for what actix or the handler waits for.
    Elsewhere,
    /// An answer has been written, and nothing has been read since.
    Next,
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
        }
    }

    /// Follows where the next head begins and ends.
    fn has_read(&mut self, bytes: &[u8]) {
        let complete = match &mut self.waiting {
            Waiting::Next if bytes.ends_with(b"\r\n\r\n") => true,
            Waiting::Next => {
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
            this.waiting = Waiting::Next;
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
