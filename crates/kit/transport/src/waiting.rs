//! What a connection waits for, and for how long.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use actix_rt::time::{Instant, Sleep};

use crate::{
    closing::End,
    eviction::{Entered, Place},
    stream::{ByteStream, Unread, activity::Phase, is_broken, unread},
    timeouts::Timeouts,
};

/// How long a stop waits for the first byte on a connection: its client has made it in order to send one.
const FIRST_BYTE: Duration = Duration::from_secs(1);

/// How long HTTP is kept after an answer. To begin it anew costs some µs.
const REST: Duration = Duration::from_secs(1);

/// The same where memory is short. Not at once: what hyper has to do after an answer, such as to close, it does first.
const REST_PRESSED: Duration = Duration::from_millis(10);

/// How often it is looked whether a client has broken the connection where something of it is unread, if only that
/// it sends no more: tokio tells of nothing else then.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What a connection is about.
#[derive(Clone, Copy)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are looked at together and kept nowhere"
)]
pub(crate) struct Situation {
    pub(crate) phase: Phase,
    /// HTTP is spoken on it, and has its buffers.
    pub(crate) http: bool,
    /// Memory is short.
    pub(crate) is_pressed: bool,
    /// The client has broken it.
    pub(crate) broken: bool,
    /// The server stops, and nothing of a request has come.
    pub(crate) closing: bool,
}

impl Situation {
    /// How long it may last.
    fn limit(self, timeouts: &Timeouts) -> Option<Duration> {
        match self.phase {
            Phase::FirstHead if self.closing => Some(timeouts.head.min(FIRST_BYTE)),
            Phase::FirstHead | Phase::Head(_) => Some(timeouts.head),
            Phase::Idle(_) => timeouts.keep_alive,
            Phase::Answering | Phase::Closing => None,
            Phase::Unread(_) => Some((timeouts.unread)()),
        }
    }
}

/// What is waited for, and since when.
pub(crate) struct Waiting {
    place: Rc<Place>,
    /// Nobody tells when the client breaks the connection.
    untold: bool,
}

impl Waiting {
    pub(crate) fn new(entered: &Entered) -> Self {
        Self {
            place: Rc::clone(&entered.place),
            untold: false,
        }
    }

    /// Asks the socket for what hyper does not see.
    pub(crate) fn look(
        &mut self,
        cx: &mut Context<'_>,
        now: Situation,
        io: &impl ByteStream,
    ) -> Option<End> {
        if now.closing {
            let since = self.place.since.get();
            let first = now.phase == Phase::FirstHead && since.elapsed() < FIRST_BYTE;
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
        if (is_answering && now.broken) || (self.untold && is_broken(io)) {
            return Some(End::Broken);
        }
        let reason = self.place.is_evicted(cx)?;
        let is_stuck = matches!(now.phase, Phase::Unread(_)) || unread(io) == Unread::Nothing;
        // Else it has been of use again meanwhile, or is about to be.
        (now.phase == self.place.phase.get() && is_stuck).then_some(End::Evicted(reason))
    }

    /// Ready when this has lasted for too long. There is one timer for all: it is only ever set to an
    /// earlier time, or anew once it has gone off, so that a busy connection hardly touches it.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut timer: Pin<&mut Sleep>,
        now: Situation,
        timeouts: &Timeouts,
    ) -> Poll<End> {
        if now.phase != self.place.phase.get() {
            self.place.enter(now.phase);
        }
        let Some(limit) = now.limit(timeouts) else {
            if self.untold {
                wake_by(cx, timer, Instant::now() + LOOK_AGAIN);
            }
            return Poll::Pending;
        };
        let rest = if now.is_pressed { REST_PRESSED } else { REST };
        let rests = now.http && matches!(now.phase, Phase::Idle(_)) && rest < limit;
        let end = self.place.since.get() + if rests { rest } else { limit };
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

/// Has the connection looked at again at this time, or earlier.
fn wake_by(cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>, time: Instant) {
    if timer.deadline() > time {
        timer.as_mut().reset(time);
    }
    while timer.as_mut().poll(cx).is_ready() {
        timer.as_mut().reset(time);
    }
}
