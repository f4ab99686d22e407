//! How a connection ends: with a last answer, a moment in which its client can read it, or its worker.

use std::{cell::RefCell, io, net::SocketAddr, pin::pin, rc::Rc, time::Duration};

use actix_http::{StatusCode, body::MessageBody};
use actix_rt::time::timeout;
use bytes::Bytes;
use futures_util::future::select;
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    events::{Events, Eviction, Refusal},
    eviction::Place,
    framing::Wrong,
    http1::date,
    stream::{
        ByteStream, Unread,
        activity::{Activity, Phase},
        unread,
        upgrade::{self, Upgrade},
    },
};

/// How long a client may take to notice that its connection is being closed. What it sends meanwhile is
/// thrown away; a reset would make it lose the last answer.
const LINGER: Duration = Duration::from_secs(1);

/// Looks for a request that nobody has read where a worker ends, and its connections with it: that is cut off, too.
pub(crate) struct LastLook<T: ByteStream>(Option<(Rc<RefCell<T>>, Rc<Activity>)>);

impl<T: ByteStream> LastLook<T> {
    pub(crate) fn new(io: &Rc<RefCell<T>>, activity: &Rc<Activity>) -> Self {
        Self(Some((Rc::clone(io), Rc::clone(activity))))
    }

    /// The connection ends by itself.
    pub(crate) fn disarm(mut self) {
        self.0 = None;
    }
}

impl<T: ByteStream> Drop for LastLook<T> {
    fn drop(&mut self) {
        if let Some((io, activity)) = &self.0
            && unread(&*io.borrow()) == Unread::Bytes
        {
            activity.is_cut_off();
        }
    }
}

/// Why HTTP is not spoken any longer, or not for now.
pub(crate) enum End {
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
    /// Others need its place.
    Evicted(Eviction),
    /// There is no memory for the rest of a head.
    NoMemory,
}

/// How a connection has ended, and what is left of it.
pub(crate) struct Ended<B> {
    pub(crate) end: End,
    pub(crate) upgraded: Option<Upgrade<B>>,
    /// What has been read and is nobody's.
    pub(crate) read: Bytes,
    pub(crate) client: SocketAddr,
}

impl<B: MessageBody> Ended<B> {
    /// Does what is still to be done before the connection can be closed. `idle` is how long nothing may pass on an
    /// upgraded one. An error where nothing more can be sent.
    pub(crate) async fn settle(
        self,
        io: &mut impl ByteStream,
        activity: &Activity,
        events: &impl Events,
        idle: Duration,
    ) -> io::Result<()> {
        match (self.end, self.upgraded) {
            (End::Http(Ok(())), Some(upgrade)) => {
                upgrade::carry(io, self.read, upgrade, idle).await
            }
            // Nothing has been answered, so no answer can be lost.
            (End::Stopped, _) if activity.phase() == Phase::FirstHead => {
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            (End::Http(Ok(())) | End::Stopped | End::Rests, _) => Ok(()),
            (End::Http(Err(error)), _) if error.is_parse() => {
                let wrong = explain(activity);
                refuse(io, self.client, events, wrong).await
            }
            (End::Http(Err(error)), _) => Err(io::Error::other(error)),
            (End::TimedOut(Phase::FirstHead), _) => {
                let wrong = (408, "the head of the request did not arrive in time");
                refuse(io, self.client, events, wrong).await
            }
            (End::TimedOut(phase), _) => {
                log::debug!("closing a connection whose client took too long ({phase:?})");
                match phase {
                    Phase::Unread(_) => Err(io::ErrorKind::TimedOut.into()),
                    _ => Ok(()),
                }
            }
            (End::Broken, _) => Err(io::ErrorKind::ConnectionReset.into()),
            (End::NoMemory, _) => {
                let wrong = (503, "this server is short of memory; try again in a moment");
                refuse(io, self.client, events, wrong).await
            }
            (End::Evicted(reason), _) => {
                events.evicted(reason);
                if matches!(activity.phase(), Phase::Unread(_)) {
                    // Else the kernel would keep what the client does not take.
                    reset(io);
                }
                Err(io::ErrorKind::QuotaExceeded.into())
            }
        }
    }
}

/// Closes a connection that has ended so, at once where others need its place.
pub(crate) async fn close(io: &mut impl ByteStream, outcome: io::Result<()>, place: &Place) {
    match outcome {
        Ok(()) => {
            let lingering = pin!(timeout(LINGER, linger(io)));
            select(lingering, pin!(place.evicted())).await;
        }
        Err(error) => log::debug!("a connection is broken off: {error}"),
    }
}

/// What was wrong with what hyper has refused.
fn explain(activity: &Activity) -> Wrong {
    let status = match activity.refused.get() {
        Some(431) => activity.recent.borrow().too_large(),
        Some(status) => status,
        None => 400,
    };
    let detail = match status {
        413 => "the request body is larger than this server accepts",
        414 => "the request target is too long",
        431 => "the head of the request has too many headers, or too large ones",
        _ => "this is not an HTTP/1.1 request",
    };
    (status, detail)
}

/// Answers what has not become a request.
pub(crate) async fn refuse(
    io: &mut impl ByteStream,
    peer: SocketAddr,
    events: &impl Events,
    (status, detail): Wrong,
) -> io::Result<()> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let body = events.refused(&Refusal {
        status,
        peer,
        detail,
    });
    let mut answer = format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\ndate: {}\r\n",
        body.bytes.len(),
        date::now().to_str().unwrap_or_default()
    );
    for (name, value) in &body.headers {
        answer.extend([name, ": ", value, "\r\n"]);
    }
    answer.push_str("\r\n");
    let answer = [answer.as_bytes(), &body.bytes].concat();
    // Who does not read this at once is not waited for.
    timeout(LINGER, io.write_all(&answer)).await?
}

/// Has the kernel forget the connection and all that waits in it, once it is dropped.
fn reset(io: &impl ByteStream) {
    if let Err(error) = SockRef::from(io.tcp()).set_linger(Some(Duration::ZERO)) {
        log::debug!("a connection cannot be reset: {error}");
    }
}

/// Says that no more will come, and waits until the client has understood.
async fn linger(io: &mut impl ByteStream) -> io::Result<()> {
    io.shutdown().await?;
    loop {
        let mut piece = [0; 512];
        if io.read(&mut piece).await? == 0 {
            return Ok(());
        }
    }
}
