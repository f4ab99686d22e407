//! Memory that goes back to the system.
//!
//! glibc's allocator gives memory back only from the end of its heap, where one small block holds
//! all that is below: after thousands of requests at once, what they took would stay with the process
//! for good. mimalloc gives back each of its pages that nothing is left in, a second after it was let
//! go of. It does so while it allocates and frees, which a service at rest does not do.

use std::{hint, rc::Rc, time::Duration};

use actix_rt::time;
use mimalloc::MiMalloc;
use tokio::sync::Notify;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// How often, and how many times, a thread is made to look once it has freed something. The last page
/// of a size goes at the sixteenth look that finds it empty, a large one at the fourth, others at once.
const LOOK: Duration = Duration::from_millis(400);
const LOOKS: usize = 50;

/// A thread looks at each thousandth allocation of more than 1 kB. These take some 50 µs.
const ALLOCATIONS: usize = 1000;
const SMALL: usize = 2 << 10;

/// A page of its own, so that it is free at once, and all that is due goes to the system. It is never
/// written to, so it takes no memory.
const LARGE: usize = 1 << 20;

/// Has what this thread has freed given back, whenever it is told that there may be something. In a pod,
/// probes alone tell it again and again; that is 0.01 % of a processor.
pub(crate) async fn give_back(freed: Rc<Notify>) {
    loop {
        freed.notified().await;
        for _ in 0..LOOKS {
            time::sleep(LOOK).await;
            for _ in 0..ALLOCATIONS {
                allocate(SMALL);
            }
            allocate(LARGE);
        }
    }
}

fn allocate(bytes: usize) {
    // Or the compiler would leave out what is never used.
    drop(hint::black_box(Vec::<u8>::with_capacity(bytes)));
}
