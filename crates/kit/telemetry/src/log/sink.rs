//! Log output that never makes a worker wait.
//!
//! Writing to stderr blocks when whoever reads it is slow: a full pipe would stop every worker.
//! So lines go into a buffer of bounded size that one thread writes out, many at a time. When the
//! buffer is full, lines are dropped and counted.

use std::{
    io::{self, Write},
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use prometheus::IntCounter;

/// How much may wait to be written, in bytes: some thousand lines.
const CAPACITY: usize = 1024 * 1024;

/// How long the first line may wait for others, to be written together with them. To wake the thread
/// and to write are system calls, and a line of its own would cost its request more than its making.
const LINGER: Duration = Duration::from_millis(5);

/// With so much to write, in bytes, nothing waits any longer.
const ENOUGH: usize = CAPACITY / 4;

/// What an idle buffer keeps of its memory, in bytes. A busy one keeps all: to give it back after each
/// batch and have it again for the next costs a page fault for every few lines.
const KEPT: usize = 64 * 1024;

/// After so long without a line a buffer counts as idle.
const IDLE: Duration = Duration::from_secs(1);

/// How long to wait when the output says "try again".
const RETRY_AFTER: Duration = Duration::from_millis(10);

/// The buffer and the thread that empties it.
pub(crate) struct Sink(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// There is something to write.
    filled: Condvar,
    /// Everything is written.
    drained: Condvar,
    lost: IntCounter,
}

#[derive(Default)]
struct State {
    pending: Vec<u8>,
    writing: bool,
    /// Somebody waits for all to be written.
    flushing: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole between any two statements, so a panic elsewhere cannot spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink {
    /// Starts the thread that writes to `output`. Lines that are dropped are counted in `lost`.
    pub(crate) fn start(output: impl Write + Send + 'static, lost: IntCounter) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            filled: Condvar::new(),
            drained: Condvar::new(),
            lost,
        });
        let theirs = Arc::clone(&shared);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_out(&theirs, output))?;
        Ok(Self(shared))
    }

    /// A writer that takes one whole line at a time.
    pub(crate) fn writer(&self) -> LineWriter {
        LineWriter(Arc::clone(&self.0))
    }

    /// Waits until all is written, at most `limit`.
    pub(crate) fn flush(&self, limit: Duration) {
        let mut state = self.0.lock();
        state.flushing = true;
        self.0.filled.notify_one();
        let waited = self.0.drained.wait_timeout_while(state, limit, |state| {
            state.writing || !state.pending.is_empty()
        });
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.flushing = false;
    }
}

/// Puts lines into the buffer, or drops them.
pub(crate) struct LineWriter(Arc<Shared>);

impl LineWriter {
    pub(super) fn put(&self, line: &[u8]) {
        let mut state = self.0.lock();
        let before = state.pending.len();
        if before + line.len() > CAPACITY {
            drop(state);
            self.0.lost.inc();
            return;
        }
        state.pending.extend_from_slice(line);
        let after = state.pending.len();
        drop(state);
        if before == 0 || (before < ENOUGH && after >= ENOUGH) {
            self.0.filled.notify_one();
        }
    }
}

impl Write for LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_out(shared: &Shared, mut output: impl Write) {
    let mut batch = Vec::new();
    let mut torn = false;
    loop {
        let mut state = shared.lock();
        while state.pending.is_empty() {
            state.writing = false;
            shared.drained.notify_all();
            let waited = shared
                .filled
                .wait_timeout_while(state, IDLE, |state| state.pending.is_empty());
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if state.pending.is_empty() {
                batch.shrink_to(KEPT);
                state.pending.shrink_to(KEPT);
                // With nothing to give back there is nothing to wake up for.
                state = shared
                    .filled
                    .wait_while(state, |state| state.pending.is_empty())
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
        let waited = shared.filled.wait_timeout_while(state, LINGER, |state| {
            !state.flushing && state.pending.len() < ENOUGH
        });
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.writing = true;
        mem::swap(&mut state.pending, &mut batch);
        drop(state);

        shared
            .lost
            .inc_by(write_batch(&mut output, &batch, &mut torn));
        batch.clear();
    }
}

/// Writes the lines of `batch`; returns how many of them were lost.
///
/// A disk that fills takes the first part of a line. `torn` says that this is the last that was
/// written: the next line has to begin on a line of its own, or neither could be read.
fn write_batch(output: &mut impl Write, batch: &[u8], torn: &mut bool) -> u64 {
    if *torn && write_most(output, b"\n") == 1 {
        *torn = false;
    }
    let written = if *torn { 0 } else { write_most(output, batch) };
    let (written, left) = batch.split_at(written);
    if let Some(last) = written.last() {
        *torn = *last != b'\n';
    }
    left.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// Writes as much as the output takes; returns how many bytes that is.
fn write_most(output: &mut impl Write, bytes: &[u8]) -> usize {
    let mut left = bytes;
    while !left.is_empty() {
        match output.write(left) {
            Ok(0) => break,
            Ok(written) => left = &left[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Whoever shares the terminal or pipe with us may have made it non-blocking.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(RETRY_AFTER),
            Err(_) => break,
        }
    }
    bytes.len() - left.len()
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Instant};

    use super::*;

    /// An output that takes nothing until it is told to.
    struct Stuck(mpsc::Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0.recv().is_err() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.1.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lost() -> IntCounter {
        IntCounter::new("lost", "lost").unwrap()
    }

    #[test]
    fn every_line_is_either_written_whole_or_counted_as_lost() {
        let (go, wait) = mpsc::channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let lost = lost();
        let sink = Sink::start(Stuck(wait, Arc::clone(&written)), lost.clone()).unwrap();
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        // Twice what fits: the writer stands still, and still nobody waits.
        for _ in 0..3072 {
            sink.writer().write_all(&line).unwrap();
        }
        assert!(lost.get() > 0);
        for _ in 0..3 {
            go.send(()).unwrap();
        }
        sink.flush(Duration::from_secs(10));
        let written = written.lock().unwrap();
        assert_eq!(written.len() % 1024, 0);
        assert_eq!(written.len() as u64 / 1024 + lost.get(), 3072);
    }

    #[test]
    fn a_closed_output_costs_lines_and_nothing_else() {
        let (go, wait) = mpsc::channel::<()>();
        drop(go);
        let lost = lost();
        let sink = Sink::start(Stuck(wait, Arc::default()), lost.clone()).unwrap();
        sink.writer().write_all(b"one\ntwo\n").unwrap();
        sink.flush(Duration::from_secs(10));
        assert_eq!(lost.get(), 2);
    }

    /// An output that has room for so many bytes.
    struct Disk(usize, Vec<u8>);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let fits = bytes.len().min(self.0 - self.1.len());
            if fits == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.1.extend_from_slice(&bytes[..fits]);
            Ok(fits)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_did_not_fit_does_not_spoil_the_next() {
        let mut disk = Disk(6, Vec::new());
        let mut torn = false;
        assert_eq!(write_batch(&mut disk, b"one\ntwo\n", &mut torn), 1);
        assert_eq!(write_batch(&mut disk, b"three\n", &mut torn), 1);
        disk.0 = 100;
        assert_eq!(write_batch(&mut disk, b"four\n", &mut torn), 0);
        assert_eq!(write_batch(&mut disk, b"five\n", &mut torn), 0);
        assert_eq!(disk.1, b"one\ntw\nfour\nfive\n");
    }

    #[test]
    fn flush_gives_up_on_an_output_that_is_stuck() {
        let (_go, wait) = mpsc::channel();
        let sink = Sink::start(Stuck(wait, Arc::default()), lost()).unwrap();
        sink.writer().write_all(b"one\n").unwrap();
        let start = Instant::now();
        sink.flush(Duration::from_millis(50));
        assert!(start.elapsed() >= Duration::from_millis(50));
    }
}
