//! What all connections of a worker share.

use std::{cell::Cell, net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use actix_rt::time::sleep;
use berth_kit_memory::{Budget, Pressure};
use hyper::server::conn::http1;

use crate::{
    closing::{close, refuse},
    events::{Events, Eviction},
    eviction::{Connections, Expendable, Place},
    framing::MAX_HEAD,
    stop::Stop,
    stream::{
        ByteStream,
        proxy::{self, Missing, Preface, ProxyProtocol},
    },
    timeouts::Timeouts,
};

/// How often it is looked whether connections have to be closed, as long as memory is short.
const RELIEVE_AGAIN: Duration = Duration::from_millis(10);

/// What a connection takes, in bytes: 13 kB while requests come, and what the kernel has of it.
pub const CONNECTION_MEMORY: u64 = 16 * 1024;

/// What all connections of a worker share.
pub(crate) struct Worker<S, E> {
    pub(crate) application: Rc<S>,
    pub(crate) events: Rc<E>,
    pub(crate) timeouts: Timeouts,
    proxy: Option<ProxyProtocol>,
    pub(crate) stop: Arc<Stop>,
    pub(crate) http: http1::Builder,
    pub(crate) connections: Rc<Connections>,
    pub(crate) memory: Option<Arc<Budget>>,
    /// Connections are being closed, since memory is short.
    is_relieved: Cell<bool>,
}

impl<S, E> Worker<S, E> {
    pub(crate) fn new(
        application: S,
        events: E,
        timeouts: Timeouts,
        proxy: Option<ProxyProtocol>,
        memory: Option<Arc<Budget>>,
        stop: Arc<Stop>,
    ) -> Self {
        let mut http = http1::Builder::new();
        http.keep_alive(timeouts.keep_alive.is_some())
            // Ours: hyper's makes a timer for each request.
            .header_read_timeout(None)
            // A client may say that it sends no more, and still wait for its answers.
            .half_close(true)
            .max_buf_size(MAX_HEAD)
            .auto_date_header(false)
            // Most answers are small, and one buffer is cheaper than a list.
            .writev(false);
        Self {
            application: Rc::new(application),
            events: Rc::new(events),
            timeouts,
            proxy,
            stop,
            http,
            connections: Rc::default(),
            memory,
            is_relieved: Cell::default(),
        }
    }
}

impl<S: 'static, E: Events> Worker<S, E> {
    /// How near the process is to the end of its memory. Where it is, connections are closed from now on, until it is
    /// no longer.
    pub(crate) fn pressure(self: &Rc<Self>) -> Pressure {
        let pressure = match &self.memory {
            Some(memory) => memory.pressure(),
            None => Pressure::None,
        };
        if pressure != Pressure::None && !self.is_relieved.replace(true) {
            actix_rt::spawn(Rc::clone(self).relieve());
        }
        pressure
    }

    async fn relieve(self: Rc<Self>) {
        while let Some(memory) = &self.memory {
            let expendable = match memory.pressure() {
                Pressure::None => break,
                Pressure::High => Expendable::Idle,
                Pressure::Full => Expendable::Waiting,
            };
            if let Some(bytes) = memory.to_free() {
                let some = usize::try_from(bytes.div_ceil(CONNECTION_MEMORY)).unwrap_or(usize::MAX);
                self.connections.evict(some, expendable, Eviction::Memory);
            }
            sleep(RELIEVE_AGAIN).await;
        }
        self.is_relieved.set(false);
    }
}

impl<S, E: Events> Worker<S, E> {
    /// What stands before HTTP: a PROXY header, where the peer speaks that. `None`: it is not there, and the peer has
    /// been told.
    pub(crate) async fn preface(
        &self,
        io: &mut impl ByteStream,
        peer: SocketAddr,
        place: &Place,
    ) -> Option<Preface> {
        let Some(proxy) = &self.proxy else {
            return Some(Preface::none(peer));
        };
        if !proxy.is_spoken_by(peer.ip()) {
            return Some(Preface::none(peer));
        }
        // In a box, so that no other connection has room for it.
        match Box::pin(proxy::read(io, peer, self.timeouts.head, &self.stop)).await {
            Ok(preface) => Some(preface),
            Err(Missing::Gone) => None,
            Err(Missing::Wrong(wrong)) => {
                let outcome = refuse(io, peer, &*self.events, wrong).await;
                close(io, outcome, place).await;
                None
            }
        }
    }
}
