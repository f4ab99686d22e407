//! How a connection ends: with a last answer, a moment in which its client can read it, or its worker.

use std::{cell::RefCell, io, net::SocketAddr, rc::Rc, time::Duration};

use actix_http::StatusCode;
use actix_rt::time::timeout;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    events::{Events, Refusal},
    framing::Wrong,
    http1::date,
    stream::{ByteStream, Unread, activity::Activity, unread},
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

/// Closes a connection that has ended so.
pub(crate) async fn close(io: &mut impl ByteStream, outcome: io::Result<()>) {
    match outcome {
        Ok(()) => {
            let _ = timeout(LINGER, linger(io)).await;
        }
        Err(error) => log::debug!("a connection is broken off: {error}"),
    }
}

/// What was wrong with what hyper has refused.
pub(crate) fn explain(activity: &Activity) -> Wrong {
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
