//! Connections that go on in another protocol, such as WebSocket.
//!
//! A request that asks for another protocol gets a payload that is what the client sends after the answer;
//! the answer's body is what is sent to it. That is how actix has it. Where the answer is not 101, the
//! request is an ordinary one, without a body.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::poll_fn,
    io,
    mem::MaybeUninit,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use actix_http::{body::MessageBody, error::PayloadError};
use actix_rt::time::{Instant, sleep};
use bytes::{Buf as _, Bytes};
use futures_util::Stream;
use tokio::io::ReadBuf;

use super::{ByteStream, activity::Activity};

/// How much is read at a time, and how much waits for the application before no more is read, in bytes.
const PIECE: usize = 16 * 1024;
const MAX_WAITING: usize = 64 * 1024;

/// A connection whose last answer was 101.
pub(crate) struct Upgrade<B> {
    pub(crate) input: UpgradeInput,
    pub(crate) body: B,
}

/// What comes on an upgraded connection, for the application.
pub(crate) struct UpgradeInput(Rc<Input>);

#[derive(Default)]
struct Input {
    state: Cell<State>,
    waiting: RefCell<VecDeque<Bytes>>,
    bytes: Cell<usize>,
    /// Of the task that reads the payload, and of the one that reads the connection.
    reader: RefCell<Option<Waker>>,
    writer: RefCell<Option<Waker>>,
    activity: Rc<Activity>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// The request has not been answered.
    #[default]
    Asked,
    Begun,
    Ended,
}

impl UpgradeInput {
    pub(crate) fn new(activity: Rc<Activity>) -> Self {
        Self(Rc::new(Input {
            activity,
            ..Input::default()
        }))
    }

    /// What the application reads.
    pub(crate) fn stream(&self) -> impl Stream<Item = Result<Bytes, PayloadError>> + use<> {
        UpgradeStream(Rc::clone(&self.0))
    }

    pub(crate) fn begin(&self) {
        self.0.set(State::Begun);
    }

    /// The answer is an ordinary one.
    pub(crate) fn decline(&self) {
        self.0.set(State::Ended);
    }

    fn push(&self, bytes: Bytes) {
        // The application has let go of what comes.
        if Rc::strong_count(&self.0) == 1 {
            return;
        }
        self.0.bytes.set(self.0.bytes.get() + bytes.len());
        self.0.waiting.borrow_mut().push_back(bytes);
        wake(&self.0.reader);
    }

    /// Whether the application has read enough to be given more.
    fn has_room(&self, cx: &Context<'_>) -> bool {
        *self.0.writer.borrow_mut() = Some(cx.waker().clone());
        self.0.bytes.get() < MAX_WAITING
    }
}

impl Drop for UpgradeInput {
    fn drop(&mut self) {
        self.0.set(State::Ended);
    }
}

impl Input {
    fn set(&self, state: State) {
        self.state.set(state);
        wake(&self.reader);
    }
}

fn wake(waker: &RefCell<Option<Waker>>) {
    if let Some(waker) = waker.borrow_mut().take() {
        waker.wake();
    }
}

struct UpgradeStream(Rc<Input>);

impl Stream for UpgradeStream {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let input = &self.0;
        if let Some(bytes) = input.waiting.borrow_mut().pop_front() {
            input.bytes.set(input.bytes.get() - bytes.len());
            wake(&input.writer);
            return Poll::Ready(Some(Ok(bytes)));
        }
        match input.state.get() {
            State::Ended => Poll::Ready(None),
            // Who reads it in order to answer wants the request's body, and there is none.
            State::Asked if input.activity.in_application.get() => Poll::Ready(None),
            State::Asked | State::Begun => {
                *input.reader.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Carries bytes both ways until the answer's body ends, the connection breaks, or nothing has come or gone
/// for `idle`. `read` has been read before.
pub(crate) async fn carry<T: ByteStream, B: MessageBody>(
    io: &mut T,
    read: Bytes,
    upgrade: Upgrade<B>,
    idle: Duration,
) -> io::Result<()> {
    let Upgrade { input, body } = upgrade;
    let mut body = pin!(body);
    let mut input = Some(input);
    let mut output = Bytes::new();
    let mut ended = false;
    let mut timer = pin!(sleep(idle));
    if let Some(input) = &input
        && !read.is_empty()
    {
        input.push(read);
    }
    poll_fn(|cx| {
        let mut moved = false;
        while input.as_ref().is_some_and(|input| input.has_room(cx)) {
            let mut piece = [MaybeUninit::uninit(); PIECE];
            let mut buffer = ReadBuf::uninit(&mut piece);
            if Pin::new(&mut *io).poll_read(cx, &mut buffer)?.is_pending() {
                break;
            }
            moved = true;
            match (buffer.filled(), &input) {
                (&[], _) => input = None,
                (bytes, Some(input)) => input.push(Bytes::copy_from_slice(bytes)),
                (_, None) => {}
            }
        }
        loop {
            if output.is_empty() && !ended {
                match body.as_mut().poll_next(cx) {
                    Poll::Ready(Some(Ok(bytes))) => output = bytes,
                    Poll::Ready(Some(Err(error))) => {
                        let error: Box<dyn std::error::Error> = error.into();
                        return Poll::Ready(Err(io::Error::other(error.to_string())));
                    }
                    Poll::Ready(None) => ended = true,
                    Poll::Pending => break,
                }
                continue;
            }
            if output.is_empty() {
                return Pin::new(&mut *io).poll_flush(cx);
            }
            match Pin::new(&mut *io).poll_write(cx, &output)? {
                Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(written) => {
                    moved = true;
                    output.advance(written);
                }
                Poll::Pending => break,
            }
        }
        if moved {
            timer.as_mut().reset(Instant::now() + idle);
        }
        if timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        match Pin::new(&mut *io).poll_flush(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Pending,
        }
    })
    .await
}
