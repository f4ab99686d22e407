//! The stop: what is told of it, what it waits for, and what it would cut off.

mod sockets;

use std::{
    collections::{HashMap, HashSet},
    fmt, io,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use actix_rt::time::{Instant, sleep};
use tokio::sync::Notify;

use crate::listen;

/// How often it is looked whether a connection still waits to be taken on.
const LOOK: Duration = Duration::from_millis(10);

/// How long the last handshake is waited for.
const HANDSHAKE: Duration = Duration::from_secs(1);

/// For how long nothing may come from an acceptor that has been told to pause, which takes a moment to hear of it.
const QUIET: Duration = Duration::from_millis(50);

/// For how many connections there is always room in the list of them.
const KEPT: usize = 1024;

/// How long connections may wait for a place before idle ones are closed for them.
const PLACE: Duration = Duration::from_millis(100);

/// The stop of one server, in the order of its methods: [`drain`](Self::drain), after a while
/// [`close`](Self::close), then actix-server's own graceful stop, [`lost`](Self::lost), and last
/// [`ended`](Self::ended).
#[derive(Debug, Default)]
pub struct Stop {
    phase: AtomicU8,
    draining: Notify,
    closing: Notify,
    listeners: Mutex<Vec<TcpListener>>,
    addresses: Vec<SocketAddr>,
    /// Each connection had been taken on when the listener closed.
    settled: AtomicBool,
    pub(crate) connections: Arc<Connections>,
    /// How many workers there are.
    pub(crate) workers: AtomicUsize,
}

const DRAINING: u8 = 1;
const CLOSING: u8 = 2;

impl Stop {
    pub(crate) fn new(listeners: &[TcpListener]) -> io::Result<Arc<Self>> {
        let copies = listeners.iter().map(TcpListener::try_clone);
        let addresses = listeners.iter().map(TcpListener::local_addr);
        Ok(Arc::new(Self {
            listeners: Mutex::new(copies.collect::<io::Result<_>>()?),
            addresses: addresses.collect::<io::Result<_>>()?,
            ..Self::default()
        }))
    }

    /// From now on each answer says `Connection: close`, and upgraded connections are told. New
    /// connections are still accepted.
    pub fn drain(&self) {
        self.phase.fetch_max(DRAINING, Ordering::Relaxed);
        self.draining.notify_waiters();
    }

    /// No new connection is accepted, and what has come is taken on, for at most `within`; then idle
    /// connections are closed, each after a last look at its socket. Afterwards nothing waits where
    /// actix-server's graceful stop would drop it. It does not wait for requests in flight.
    pub async fn close(&self, within: Duration) {
        let start = Instant::now();
        for listener in &*self.lock_listeners() {
            if let Err(error) = listen::refuse_new(listener) {
                // The kernel, or a sandbox, has no filter; then the last ones are seen a little later.
                log::debug!(
                    "new connections cannot be refused before the listener closes: {error}"
                );
            }
        }
        let settled = loop {
            let waiting = match sockets::waiting(&self.addresses, |peer| self.connections.has(peer))
            {
                Ok(waiting) => waiting,
                Err(error) => {
                    log::warn!("cannot see which connections wait to be accepted: {error}");
                    break false;
                }
            };
            let handshakes = waiting.handshakes > 0 && start.elapsed() < HANDSHAKE;
            if waiting.connections == 0 && !handshakes {
                break true;
            }
            if start.elapsed() >= within {
                break false;
            }
            if waiting.connections > 0 && start.elapsed() >= PLACE {
                self.close_idle();
            }
            sleep(LOOK).await;
        };
        self.settled.store(settled, Ordering::Relaxed);
        // The socket closes with its last copy, which is the acceptor's.
        self.lock_listeners().clear();
        self.close_idle();
    }

    /// Ends the connections of a server whose listeners live on: idle ones at once, each other with its next
    /// answer. For a server that has been paused, and makes way for another on the same listeners.
    pub fn retire(&self) {
        self.drain();
        self.lock_listeners().clear();
        self.close_idle();
    }

    /// Waits until a server that has been [retired](Self::retire) has no connection any more, with a worker or
    /// on the way to one: what it has accepted, its end would drop.
    pub async fn retired(&self) {
        let mut quiet = Instant::now();
        while quiet.elapsed() < QUIET {
            sleep(LOOK).await;
            let waiting = sockets::waiting(&self.addresses, |peer| self.connections.has(peer));
            let accepted = waiting.map_or(0, |waiting| waiting.accepted);
            if accepted > 0 || self.open() > 0 {
                quiet = Instant::now();
            }
        }
    }

    fn close_idle(&self) {
        self.phase.fetch_max(CLOSING, Ordering::Relaxed);
        self.closing.notify_waiters();
    }

    /// Requests that are being answered or whose first byte has come, and upgraded connections.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.connections.busy().len()
    }

    /// Connections that workers have taken on and that have not ended.
    #[must_use]
    pub fn open(&self) -> usize {
        lock(&self.connections.open).len()
    }

    /// What would be lost if the process ended now, or has been lost already: requests in flight, and
    /// connections with bytes that nobody has read, whoever should have: the application, a worker that is
    /// busy, or the acceptor.
    #[must_use]
    pub fn lost(&self) -> usize {
        let cut_off = self.connections.cut_off.load(Ordering::Relaxed);
        if self.open() == 0 && self.settled.load(Ordering::Relaxed) {
            return cut_off;
        }
        let busy = self.connections.busy();
        let unread = match sockets::unread(&self.addresses) {
            Ok(unread) => unread.filter(|peer| !busy.contains(peer)).count(),
            Err(error) => {
                log::warn!("cannot see which requests have not been read: {error}");
                0
            }
        };
        busy.len() + unread + cut_off
    }

    /// Waits until every worker has ended, after the end of its server: then none of them logs any more.
    pub async fn ended(&self) {
        while self.workers.load(Ordering::Relaxed) > 0 {
            sleep(LOOK).await;
        }
    }

    /// For whoever wants to know of the stop.
    #[must_use]
    pub fn token(self: &Arc<Self>) -> StopToken {
        StopToken(Arc::clone(self))
    }

    /// Waits for the stop, and then until no worker has a connection any more.
    pub(crate) async fn all_have_ended(&self) {
        self.closing().await;
        while self.open() > 0 {
            sleep(LOOK).await;
        }
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.phase.load(Ordering::Relaxed) >= CLOSING
    }

    pub(crate) async fn closing(&self) {
        let notified = self.closing.notified();
        if !self.is_closing() {
            notified.await;
        }
    }

    fn lock_listeners(&self) -> MutexGuard<'_, Vec<TcpListener>> {
        lock(&self.listeners)
    }
}

/// Tells of the stop, from its first moment on. Handlers of long streams and of upgraded connections have
/// `drain_delay` and the shutdown timeout from then on; a request that asks for an upgrade has it among
/// its extensions.
#[derive(Clone)]
pub struct StopToken(Arc<Stop>);

impl StopToken {
    /// Whether the server stops.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.phase.load(Ordering::Relaxed) >= DRAINING
    }

    /// Completes when the server stops.
    pub async fn requested(&self) {
        let notified = self.0.draining.notified();
        if !self.is_requested() {
            notified.await;
        }
    }
}

impl fmt::Debug for StopToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StopToken")
            .field(&self.is_requested())
            .finish()
    }
}

/// The connections that workers have taken on, by their clients, and whether each is busy.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    open: Mutex<HashMap<SocketAddr, Arc<AtomicBool>>>,
    /// How many were busy when their worker ended.
    cut_off: AtomicUsize,
}

impl Connections {
    pub(crate) fn open(self: &Arc<Self>, peer: SocketAddr) -> Open {
        let peer = listen::canonical(peer);
        let busy = Arc::<AtomicBool>::default();
        lock(&self.open).insert(peer, Arc::clone(&busy));
        Open {
            peer,
            busy,
            connections: Arc::clone(self),
        }
    }

    fn has(&self, peer: &SocketAddr) -> bool {
        lock(&self.open).contains_key(peer)
    }

    fn busy(&self) -> HashSet<SocketAddr> {
        let open = lock(&self.open);
        let busy = open.iter().filter(|(_, busy)| busy.load(Ordering::Relaxed));
        busy.map(|(peer, _)| *peer).collect()
    }
}

/// An open connection. One that is still busy when this is dropped has been cut off, unless its handler
/// has panicked.
pub(crate) struct Open {
    peer: SocketAddr,
    busy: Arc<AtomicBool>,
    connections: Arc<Connections>,
}

impl Open {
    pub(crate) fn busy(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.busy)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.busy.load(Ordering::Relaxed) && !thread::panicking() {
            self.connections.cut_off.fetch_add(1, Ordering::Relaxed);
        }
        let mut open = lock(&self.connections.open);
        // The client may have come again from the same port.
        if open
            .get(&self.peer)
            .is_some_and(|busy| Arc::ptr_eq(busy, &self.busy))
        {
            open.remove(&self.peer);
        }
        // What thousands of connections have taken is given back.
        if open.capacity() > KEPT && open.len() < open.capacity() / 8 {
            let kept = KEPT.max(2 * open.len());
            open.shrink_to(kept);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 1234))
    }

    #[test]
    fn a_client_that_comes_again_from_its_port_is_known_until_it_leaves() {
        let connections = Arc::<Connections>::default();
        let first = connections.open(peer());
        let second = connections.open(peer());
        drop(first);
        assert!(connections.has(&peer()));
        second.busy().store(true, Ordering::Relaxed);
        assert_eq!(connections.busy(), HashSet::from([peer()]));
        drop(second);
        assert!(!connections.has(&peer()));
    }

    #[test]
    fn an_address_of_ipv4_is_the_same_on_a_socket_of_ipv6() {
        let connections = Arc::<Connections>::default();
        let mapped = SocketAddr::from(([0, 0, 0, 0, 0, 0xffff, 0x7f00, 1], 1234));
        let _open = connections.open(mapped);
        assert!(connections.has(&peer()));
    }

    #[test]
    fn what_is_dropped_while_it_is_busy_was_cut_off() {
        let connections = Arc::<Connections>::default();
        drop(connections.open(peer()));
        assert_eq!(connections.cut_off.load(Ordering::Relaxed), 0);
        let open = connections.open(peer());
        open.busy().store(true, Ordering::Relaxed);
        drop(open);
        assert_eq!(connections.cut_off.load(Ordering::Relaxed), 1);
    }
}
