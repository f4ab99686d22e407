//! The places of a worker: how many connections it takes, and when some are closed for others.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use actix_rt::time::{sleep, timeout};
use berth_kit_memory::{Budget, Pressure};
use futures_util::FutureExt as _;
use tokio::sync::Semaphore;

use crate::{
    events::Eviction,
    eviction::{Connections, Entered, Expendable},
};

/// How often it is looked whether a connection can be closed, as long as no place is free.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How long it takes until memory that has been freed is seen: the allocator keeps it for a while.
const SETTLES: Duration = Duration::from_millis(250);

/// What a connection takes, in bytes: 13 kB while requests come, and what the kernel has of it.
pub const CONNECTION_MEMORY: u64 = 16 * 1024;

thread_local! {
    static OF_THIS_WORKER: RefCell<Option<Rc<Places>>> = const { RefCell::new(None) };
}

/// The places of one worker, whatever listeners it serves.
pub(crate) struct Places {
    connections: Rc<Connections>,
    free: Arc<Semaphore>,
    is_making_room: Cell<bool>,
    /// A connection keeps the worker from its end; see [`kept`](Self::kept).
    is_kept: Cell<bool>,
}

impl Places {
    /// Those of the worker whose thread this is. It has so many, and is one of so many workers, which share the memory.
    pub(crate) fn of_this_worker(
        most: usize,
        workers: usize,
        memory: Option<Arc<Budget>>,
    ) -> Rc<Self> {
        OF_THIS_WORKER.with_borrow_mut(|places| {
            let places = places.get_or_insert_with(|| {
                let connections = Rc::<Connections>::default();
                if let Some(memory) = memory {
                    actix_rt::spawn(
                        relieve(memory, workers, Rc::clone(&connections)).boxed_local(),
                    );
                }
                Rc::new(Self {
                    connections,
                    free: Arc::new(Semaphore::new(most)),
                    is_making_room: Cell::default(),
                    is_kept: Cell::default(),
                })
            });
            Rc::clone(places)
        })
    }

    /// Takes a place for a connection. It waits only while actix, which counts what keeps a worker, too, still has that
    /// one's place for it.
    pub(crate) async fn enter(self: &Rc<Self>) -> Entered {
        let place = Arc::clone(&self.free).acquire_owned().await;
        self.make_room();
        self.connections.enter(place.ok())
    }

    /// Whether a connection keeps the worker already; from now on one does.
    pub(crate) fn kept(&self) -> bool {
        self.is_kept.replace(true)
    }

    /// Where the last place has been taken, a connection is closed that can be: actix hands another one to this worker
    /// only if it has a place.
    fn make_room(self: &Rc<Self>) {
        if self.free.available_permits() > 0 || self.is_making_room.replace(true) {
            return;
        }
        let places = Rc::clone(self);
        actix_rt::spawn(
            async move {
                while places.free.available_permits() == 0 {
                    places.connections.make_room();
                    // Or as soon as there is one.
                    let _ = timeout(LOOK_AGAIN, places.free.acquire()).await;
                }
                places.is_making_room.set(false);
            }
            .boxed_local(),
        );
    }
}

/// Closes connections where memory runs short, this worker's share of what is too much.
async fn relieve(memory: Arc<Budget>, workers: usize, connections: Rc<Connections>) {
    loop {
        let rises = memory.rises();
        let expendable = match memory.pressure() {
            Pressure::None => {
                rises.await;
                continue;
            }
            Pressure::High => Expendable::Idle,
            Pressure::Full => Expendable::Waiting,
        };
        let share = memory.excess().div_ceil(CONNECTION_MEMORY * workers as u64);
        let share = usize::try_from(share).unwrap_or(usize::MAX);
        connections.evict(share, expendable, Eviction::Memory);
        // However often it rises and falls meanwhile: the same excess would be freed again.
        sleep(SETTLES).await;
    }
}
