//! The allocator of the service.
//!
//! glibc's gives memory back only from the end of its heap, where one small block holds all that is below:
//! after thousands of requests at once, what they took would stay with the process for good. jemalloc gives
//! it back by itself, on a thread in the background. See `docs/decisions/allocator.md`.

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;
