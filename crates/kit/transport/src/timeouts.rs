//! How long a connection waits for its client.

use std::{fmt, sync::Arc, time::Duration};

/// How long a connection waits for its client before it is closed. How long a *handler* may take, and a
/// request's body, is for the application to limit.
#[derive(Clone)]
pub struct Timeouts {
    /// For the whole head of a request, from the connection's first moment or from the first byte of a
    /// later head. A first head that is late is answered with 408.
    pub head: Duration,
    /// For the next request to begin after an answer. `None`: each connection is closed after its answer.
    pub keep_alive: Option<Duration>,
    /// For the client to take any more of its answer. Asked each time, so that it can change.
    pub unread: Arc<dyn Fn() -> Duration + Send + Sync>,
    /// For any byte, in either direction, on an upgraded connection.
    pub upgraded: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            keep_alive: Some(Duration::from_secs(75)),
            unread: Arc::new(|| Duration::from_secs(30)),
            upgraded: Duration::from_mins(5),
        }
    }
}

impl fmt::Debug for Timeouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeouts")
            .field("head", &self.head)
            .field("keep_alive", &self.keep_alive)
            .field("unread", &(self.unread)())
            .field("upgraded", &self.upgraded)
            .finish()
    }
}
