//! What is going on on one connection, as its stream, its requests and its answers see it.

use std::{
    cell::{Cell, RefCell},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Waker},
};

use hyper::body::Incoming;

use crate::framing::{Length, Recent};

/// How much of an answer may wait to be written, in bytes.
const MAX_UNWRITTEN: usize = 32 * 1024;

/// What a connection waits for. Two values are equal as long as one and the same thing is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The head of the first request, whether or not it has begun.
    FirstHead,
    /// The first byte of another request, after so many answers.
    Idle(u32),
    /// The rest of a later head, after so many answers.
    Head(u32),
    /// The application.
    Answering,
    /// The client, to take more of its answer than so many writes.
    Unread(u32),
    /// The client, to close after its last answer.
    Closing,
}

/// How far a request's body has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum RequestBody {
    /// There is none, or it has been read.
    #[default]
    Done,
    /// More of it is to come.
    Unread,
    /// The application has let go of it before its end.
    Abandoned,
}

/// How far the answer to a request has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Answer {
    /// There is no request.
    #[default]
    None,
    /// The application has not answered yet.
    Awaited,
    /// Its head is there, and its body goes on.
    Begun,
    /// All of it is there, and is being written.
    Complete,
}

/// Shared by all that works on one connection.
#[derive(Default)]
pub(crate) struct Activity {
    /// For the count of what a stop would cut off, which another thread takes.
    busy: Arc<AtomicBool>,
    answer: Cell<Answer>,
    /// Bytes have come that no request has been made of.
    begun: Cell<bool>,
    answers: Cell<u32>,
    blocked: Cell<bool>,
    writes: Cell<u32>,
    /// How much of answers is with hyper, in bytes, and who has more.
    unwritten: Cell<usize>,
    held_back: RefCell<Option<Waker>>,
    /// The application is being polled.
    pub(crate) in_application: Cell<bool>,
    pub(crate) request_body: Cell<RequestBody>,
    abandoned: RefCell<Option<Incoming>>,
    /// The client has broken the connection, as hyper has found while it read a request's body.
    pub(crate) broken: Cell<bool>,
    /// A head is so large that there is no memory for the rest of it.
    pub(crate) is_too_large: Cell<bool>,
    /// The status of an answer that hyper has given without asking.
    pub(crate) refused: Cell<Option<u16>>,
    pub(crate) recent: RefCell<Recent>,
}

impl Activity {
    pub(crate) fn new(busy: Arc<AtomicBool>) -> Self {
        Self {
            busy,
            ..Self::default()
        }
    }

    /// A request has come, whole but for its body.
    pub(crate) fn request(&self, length: Length) {
        self.answer.set(Answer::Awaited);
        self.begun.set(false);
        self.request_body.set(match length {
            Length::None => RequestBody::Done,
            Length::Known(_) | Length::Chunked => RequestBody::Unread,
        });
        self.recent.borrow_mut().request(length);
        self.busy.store(true, Ordering::Relaxed);
    }

    /// The application wants no more of the request's body. hyper is told once the answer has been written:
    /// it stops to read then, and where the request had an `Upgrade`, it stops to write with that.
    pub(crate) fn abandon(&self, body: Incoming) {
        self.request_body.set(RequestBody::Abandoned);
        if self.is_answering() {
            *self.abandoned.borrow_mut() = Some(body);
        }
    }

    /// Its answer begins.
    pub(crate) fn answer_begins(&self) {
        self.answer.set(Answer::Begun);
    }

    /// The answer's body has ended, or is not wanted.
    pub(crate) fn answer_ends(&self) {
        self.answer.set(Answer::Complete);
    }

    /// Whether hyper may have more of the answer; else the task is woken when it may. hyper itself would take
    /// as much as a head may have, for each client that does not read.
    pub(crate) fn may_send(&self, cx: &Context<'_>) -> bool {
        let may = self.unwritten.get() < MAX_UNWRITTEN;
        if !may {
            *self.held_back.borrow_mut() = Some(cx.waker().clone());
        }
        may
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.unwritten.set(self.unwritten.get() + bytes);
    }

    /// Bytes have come.
    pub(crate) fn read(&self, bytes: &[u8]) {
        let mut recent = self.recent.borrow_mut();
        recent.push(bytes);
        if !self.is_answering() {
            self.begun.set(recent.has_begun());
        }
    }

    /// The client has taken some of the answer, or (`false`) takes none at the moment.
    pub(crate) fn wrote(&self, some: bool) {
        self.blocked.set(!some);
        if some {
            self.writes.set(self.writes.get().wrapping_add(1));
        }
    }

    /// All that was to be written has been.
    pub(crate) fn flushed(&self) {
        self.unwritten.set(0);
        if let Some(waker) = self.held_back.take() {
            waker.wake();
        }
        if self.answer.get() == Answer::Complete {
            self.answer.set(Answer::None);
            self.answers.set(self.answers.get().wrapping_add(1));
            self.begun.set(self.recent.borrow().has_begun());
            self.abandoned.take();
        }
    }

    /// A request is being answered.
    pub(crate) fn is_answering(&self) -> bool {
        self.answer.get() != Answer::None
    }

    /// The application reads the body of a request that has been answered.
    fn is_reading(&self) -> bool {
        self.request_body.get() == RequestBody::Unread && self.recent.borrow().is_in_body()
    }

    /// Whether nobody would miss hyper, were it begun anew.
    pub(crate) fn may_rest(&self) -> bool {
        self.request_body.get() == RequestBody::Done
    }

    /// What is waited for. Tells whoever counts what a stop would cut off, too.
    pub(crate) fn phase(&self) -> Phase {
        let answers = self.answers.get();
        let phase = if self.blocked.get() {
            Phase::Unread(self.writes.get())
        } else if self.is_answering() || self.is_reading() {
            Phase::Answering
        } else if answers == 0 {
            Phase::FirstHead
        } else if self.begun.get() {
            Phase::Head(answers)
        } else {
            Phase::Idle(answers)
        };
        self.busy.store(!self.is_idle(), Ordering::Relaxed);
        phase
    }

    /// Nothing of a request has come that has not been answered, as far as can be seen from here.
    pub(crate) fn is_idle(&self) -> bool {
        !self.is_answering() && !self.is_reading() && !self.begun.get()
    }

    /// The beginning of a request is there.
    pub(crate) fn has_begun(&self) {
        self.begun.set(true);
    }

    /// Its worker ends, and something has come that nobody has read.
    pub(crate) fn is_cut_off(&self) {
        self.busy.store(true, Ordering::Relaxed);
    }

    /// The connection has ended by itself: nothing of it can be cut off any more, nor is what has come of use.
    pub(crate) fn ended(&self) {
        self.recent.take();
        self.busy.store(false, Ordering::Relaxed);
    }
}
