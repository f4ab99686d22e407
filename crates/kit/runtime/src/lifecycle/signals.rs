//! The signals of the process.

use std::{future::poll_fn, io, task::Poll};

use actix_rt::signal::unix::{Signal, SignalKind, signal};

/// The signals that ask to stop.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TerminationSignal {
    Terminate,
    Interrupt,
}

impl TerminationSignal {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        }
    }

    /// 128 + the signal's number, as a shell reports a process that a signal ended.
    pub(crate) fn exit_code(self) -> u8 {
        128 + match self {
            Self::Terminate => 15,
            Self::Interrupt => 2,
        }
    }
}

impl Signals {
    /// From now on these signals do nothing by themselves.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The next one, which may have come already.
    pub(crate) async fn next(&mut self) -> TerminationSignal {
        poll_fn(|cx| {
            if self.terminate.poll_recv(cx).is_ready() {
                Poll::Ready(TerminationSignal::Terminate)
            } else if self.interrupt.poll_recv(cx).is_ready() {
                Poll::Ready(TerminationSignal::Interrupt)
            } else {
                Poll::Pending
            }
        })
        .await
    }
}

/// The one that asks to read the settings again.
pub(crate) fn hangups() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}
