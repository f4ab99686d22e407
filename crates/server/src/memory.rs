//! Memory that goes back to the system.
//!
//! glibc's allocator gives memory back only from the end of its heap, where one small block holds
//! all that is below: after thousands of requests at once, what they took would stay with the process
//! for good. mimalloc gives back each piece of 64 kB that nothing is left in, once it has been free for
//! a second. It looks for them whenever it frees a piece, which a service at rest does not do.

use std::{hint, time::Duration};

use actix_rt::time;
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// How often something is freed, so that mimalloc looks.
const LOOK: Duration = Duration::from_secs(1);

/// Too much to share a piece with anything else, in bytes. It is never written to, so it is no memory.
const PIECE: usize = 1 << 20;

/// Has what is free given back, as long as it is polled.
pub(crate) async fn give_back() {
    loop {
        time::sleep(LOOK).await;
        // Or the compiler would leave out what is never used.
        drop(hint::black_box(Vec::<u8>::with_capacity(PIECE)));
    }
}
