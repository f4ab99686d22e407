//! The byte stream that hyper reads and writes.

pub(crate) mod activity;
pub(crate) mod proxy;
pub(crate) mod upgrade;

use std::{
    cell::RefCell,
    io,
    mem::MaybeUninit,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
};

use berth_kit_memory::{Budget, Pressure};
use bytes::{Buf as _, Bytes};
use hyper::rt::{Read, ReadBufCursor, Write};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use activity::Activity;

/// How much is read at a time, in bytes.
const PIECE: usize = 16 * 1024;

/// A head that is larger, in bytes, is refused where memory is short.
const LARGE_HEAD: usize = 8 * 1024;

/// A byte stream to a client: a TCP connection, or what is wrapped around one, such as TLS.
pub(crate) trait ByteStream: AsyncRead + AsyncWrite + Unpin + 'static {
    /// The TCP connection below.
    fn tcp(&self) -> &TcpStream;

    /// Bytes that have come, have been read from the TCP connection, and have not been handed on.
    fn has_buffered(&self) -> bool {
        false
    }
}

impl ByteStream for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

/// What the kernel holds of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    Nothing,
    Bytes,
    /// The client has closed its half.
    End,
    /// The connection is broken.
    Broken,
}

/// Asks the kernel itself: what tokio knows of a socket is as old as its last look at all of them.
pub(crate) fn unread(stream: &impl ByteStream) -> Unread {
    if stream.has_buffered() {
        return Unread::Bytes;
    }
    match SockRef::from(stream.tcp()).peek(&mut [MaybeUninit::uninit()]) {
        Ok(0) => Unread::End,
        Ok(_) => Unread::Bytes,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Unread::Nothing,
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Unread::Bytes,
        Err(_) => Unread::Broken,
    }
}

/// Whether the client has broken the connection, also where what came before it is unread: that stands before it.
pub(crate) fn is_broken(stream: &impl ByteStream) -> bool {
    match unread(stream) {
        Unread::Nothing => false,
        Unread::Bytes | Unread::End => {
            let error = SockRef::from(stream.tcp()).take_error();
            !matches!(error, Ok(None))
        }
        Unread::Broken => true,
    }
}

/// Tells the connection's [`Activity`] what passes.
pub(crate) struct Stream<T> {
    io: Rc<RefCell<T>>,
    /// Was read before, and is handed on first.
    read: Bytes,
    activity: Rc<Activity>,
    memory: Option<Arc<Budget>>,
}

impl<T> Stream<T> {
    pub(crate) fn new(
        io: Rc<RefCell<T>>,
        read: Bytes,
        activity: Rc<Activity>,
        memory: Option<Arc<Budget>>,
    ) -> Self {
        Self {
            io,
            read,
            activity,
            memory,
        }
    }

    /// Whether there is no memory for more of a head that is large already. hyper would read all of it at once.
    fn is_too_large(&self) -> bool {
        let is_large = self.activity.recent.borrow().coming().len() > LARGE_HEAD;
        is_large
            && self
                .memory
                .as_ref()
                .is_some_and(|memory| memory.pressure_now() != Pressure::None)
    }
}

impl<T: ByteStream> Read for Stream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.read.is_empty() {
            let fits = this.read.len().min(buf.remaining());
            buf.put_slice(&this.read[..fits]);
            this.read.advance(fits);
            return Poll::Ready(Ok(()));
        }
        if this.is_too_large() {
            this.activity.is_too_large.set(true);
            return Poll::Pending;
        }
        let mut piece = [MaybeUninit::uninit(); PIECE];
        let fits = PIECE.min(buf.remaining());
        let mut read = ReadBuf::uninit(&mut piece[..fits]);
        let came = ready!(Pin::new(&mut *this.io.borrow_mut()).poll_read(cx, &mut read));
        came.inspect_err(|_| this.activity.broken.set(true))?;
        if !read.filled().is_empty() {
            this.activity.read(read.filled());
            buf.put_slice(read.filled());
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: ByteStream> Write for Stream<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if !this.activity.is_answering() {
            // hyper answers what is no request by itself. We do it in its place, so that it is counted,
            // logged and explained as any other answer.
            let status = bytes
                .get(9..12)
                .and_then(|status| std::str::from_utf8(status).ok());
            this.activity
                .refused
                .set(status.and_then(|status| status.parse().ok()));
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut *this.io.borrow_mut()).poll_write(cx, bytes);
        this.activity.wrote(written.is_ready());
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut *self.io.borrow_mut()).poll_flush(cx))?;
        self.activity.flushed();
        Poll::Ready(Ok(()))
    }

    /// The connection does that itself, once it knows how its last request has ended.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
