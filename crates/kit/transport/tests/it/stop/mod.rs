//! The stop: nothing that was sent before it is lost, and what would be is counted.

mod queued;
