//! What all connections of a worker share.

use std::{
    net::SocketAddr,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
};

use berth_kit_memory::{Budget, Pressure};
use hyper::server::conn::http1;

use crate::{
    closing::{close, refuse},
    events::Events,
    eviction::Place,
    framing::MAX_HEAD,
    stop::Stop,
    stream::{
        ByteStream,
        proxy::{self, Missing, Preface, ProxyProtocol},
    },
    timeouts::Timeouts,
};

/// What all connections of a worker share.
pub(crate) struct Worker<S, E> {
    pub(crate) application: Rc<S>,
    pub(crate) events: Rc<E>,
    pub(crate) timeouts: Timeouts,
    proxy: Option<ProxyProtocol>,
    pub(crate) stop: Arc<Stop>,
    pub(crate) http: http1::Builder,
    pub(crate) memory: Option<Arc<Budget>>,
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
        stop.workers.fetch_add(1, Ordering::Relaxed);
        Self {
            application: Rc::new(application),
            events: Rc::new(events),
            timeouts,
            proxy,
            stop,
            http,
            memory,
        }
    }
}

impl<S, E> Drop for Worker<S, E> {
    fn drop(&mut self) {
        self.stop.workers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<S, E: Events> Worker<S, E> {
    /// How near the process is to the end of its memory.
    pub(crate) fn pressure(&self) -> Pressure {
        match &self.memory {
            Some(memory) => memory.pressure(),
            None => Pressure::None,
        }
    }

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
