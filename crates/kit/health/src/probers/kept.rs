//! Checks over a connection that is kept from one attempt to the next.

use std::future::Future;

use crate::readiness::{Attempt, Cause, Check};

/// How something is connected to, and asked over a connection.
pub(super) trait Ask: Send + 'static {
    type Connection: Send;

    /// Makes a new connection.
    fn connect(&self) -> impl Future<Output = Result<Self::Connection, Cause>>;

    /// Asks. Gives the connection back where it is good for another time.
    fn ask(
        &self,
        connection: Self::Connection,
    ) -> impl Future<Output = Result<Option<Self::Connection>, Cause>>;
}

/// A check that keeps its connection.
struct Kept<A: Ask> {
    ask: A,
    connection: Option<A::Connection>,
}

/// The check that asks so.
pub(super) fn check(ask: impl Ask) -> Box<dyn Check> {
    Box::new(Kept {
        ask,
        connection: None,
    })
}

impl<A: Ask> Check for Kept<A> {
    fn check(&mut self) -> Attempt<'_> {
        Box::pin(async {
            // Taken out until it has answered: an attempt that is dropped drops it as well.
            if let Some(kept) = self.connection.take()
                && let Ok(kept) = self.ask.ask(kept).await
            {
                self.connection = kept;
                return Ok(());
            }
            // A server closes idle connections whenever it likes, and a balancer may have others behind it: only
            // what fails on a new connection is a failure.
            let new = self.ask.connect().await?;
            self.connection = self.ask.ask(new).await?;
            Ok(())
        })
    }
}
