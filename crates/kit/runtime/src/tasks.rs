//! What runs beside the server, and what is done once it has stopped.

use std::{
    collections::BTreeMap,
    fmt,
    future::{Future, pending},
    panic::AssertUnwindSafe,
    time::Duration,
};

use actix_rt::{
    Arbiter,
    time::{Instant, timeout},
};
use berth_kit_transport::StopToken;
use futures_util::{FutureExt as _, future::LocalBoxFuture};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// A task that is not running yet.
pub(crate) struct Task {
    name: String,
    start: Box<dyn FnOnce(StopToken) -> LocalBoxFuture<'static, anyhow::Result<()>> + Send>,
}

impl Task {
    pub(crate) fn new<F, A>(name: String, task: F) -> Self
    where
        F: FnOnce(StopToken) -> A + Send + 'static,
        A: Future<Output = anyhow::Result<()>> + 'static,
    {
        Self {
            name,
            start: Box::new(move |stop| Box::pin(task(stop))),
        }
    }
}

/// What is to be done once the server and the tasks have stopped.
pub(crate) struct Cleanup {
    pub(crate) name: String,
    pub(crate) run: LocalBoxFuture<'static, ()>,
}

impl fmt::Debug for Cleanup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cleanup").field(&self.name).finish()
    }
}

/// The running tasks, on a thread of their own: one that computes keeps no request and no signal waiting.
pub(crate) struct Tasks {
    running: BTreeMap<usize, String>,
    ended: UnboundedReceiver<(usize, Result<(), String>)>,
}

impl Tasks {
    /// Starts them. Each is told of the stop by `stop`.
    pub(crate) fn start(tasks: Vec<Task>, stop: &StopToken) -> Self {
        let (tell, ended) = unbounded_channel();
        let mut running = BTreeMap::new();
        let mut thread = None;
        for (number, Task { name, start }) in tasks.into_iter().enumerate() {
            running.insert(number, name);
            let (stop, tell) = (stop.clone(), tell.clone());
            thread.get_or_insert_with(Arbiter::new).spawn_fn(move || {
                actix_rt::spawn(
                    async move {
                        let run = AssertUnwindSafe(async { start(stop).await });
                        let outcome = match run.catch_unwind().await {
                            Ok(outcome) => outcome.map_err(|error| format!("{error:#}")),
                            Err(_panic) => Err("it panicked".to_owned()),
                        };
                        // Nobody listens once the process ends.
                        let _ = tell.send((number, outcome));
                    }
                    .boxed_local(),
                );
            });
        }
        Self { running, ended }
    }

    /// Completes with the name of a task that has failed, and why.
    pub(crate) async fn failed(&mut self) -> (String, String) {
        loop {
            match self.next().await {
                Some((name, Err(error))) => return (name, error),
                Some((name, Ok(()))) => log::info!("task {name} has ended"),
                None => pending::<()>().await,
            }
        }
    }

    /// Waits until all have ended, until `end` at most. Gives the names of those that have not, or failed.
    pub(crate) async fn stop(mut self, end: Instant) -> Vec<String> {
        let mut failed = Vec::new();
        while !self.running.is_empty() {
            match timeout(left(end), self.next()).await {
                Ok(Some((_, Ok(())))) => {}
                Ok(Some((name, Err(error)))) => {
                    log::error!("task {name} failed while it was to stop: {error}");
                    failed.push(name);
                }
                Ok(None) | Err(_) => {
                    for name in self.running.into_values() {
                        log::error!("task {name} is cut off: it has not stopped in time");
                        failed.push(name);
                    }
                    break;
                }
            }
        }
        failed
    }

    async fn next(&mut self) -> Option<(String, Result<(), String>)> {
        let (number, outcome) = self.ended.recv().await?;
        Some((self.running.remove(&number).unwrap_or_default(), outcome))
    }
}

/// Does what is to be done at the very end, the last that was asked for first, until `end` at most. Gives the
/// names of what was cut off.
pub(crate) async fn clean_up(cleanups: Vec<Cleanup>, end: Instant) -> Vec<String> {
    let mut failed = Vec::new();
    for Cleanup { name, run } in cleanups.into_iter().rev() {
        match timeout(left(end), AssertUnwindSafe(run).catch_unwind()).await {
            Ok(Ok(())) => continue,
            Ok(Err(_panic)) => log::error!("on_stop {name} panicked"),
            Err(_) => log::error!("on_stop {name} is cut off: it has not ended in time"),
        }
        failed.push(name);
    }
    failed
}

fn left(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc, sync::Arc};

    use actix_rt::time::sleep;
    use anyhow::bail;
    use berth_kit_transport::Stop;

    use super::*;

    /// What hangs takes so long, and nothing else, however busy the machine is.
    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(3)
    }

    fn task<F, A>(name: &str, run: F) -> Task
    where
        F: FnOnce(StopToken) -> A + Send + 'static,
        A: Future<Output = anyhow::Result<()>> + 'static,
    {
        Task::new(name.to_owned(), run)
    }

    #[actix_web::test]
    async fn tasks_are_told_of_the_stop_and_waited_for() {
        let stop = Arc::<Stop>::default();
        let polite = task("polite", |stop| async move {
            stop.requested().await;
            sleep(Duration::from_millis(20)).await;
            Ok(())
        });
        let deaf = task("deaf", |_| async {
            pending::<()>().await;
            Ok(())
        });
        let unwilling = task("unwilling", |stop| async move {
            stop.requested().await;
            bail!("no")
        });
        let tasks = Tasks::start(vec![polite, deaf, unwilling], &stop.token());
        stop.drain();
        let mut failed = tasks.stop(soon()).await;
        failed.sort();
        assert_eq!(failed, ["deaf", "unwilling"]);
    }

    #[actix_web::test]
    async fn a_task_that_fails_is_named_and_one_that_ends_is_not() {
        for (failing, why) in [
            (task("b", |_| async { bail!("full") }), "full"),
            (task("b", |_| async { panic!("oh") }), "it panicked"),
        ] {
            let stop = Arc::<Stop>::default();
            let ends = task("a", |_| async { Ok(()) });
            let mut tasks = Tasks::start(vec![ends, failing], &stop.token());
            let (name, error) = tasks.failed().await;
            assert_eq!((name.as_str(), error.as_str()), ("b", why));
            assert!(tasks.stop(soon()).await.is_empty());
        }
    }

    #[actix_web::test]
    async fn what_is_done_last_begins_with_the_last() {
        let order = Rc::new(RefCell::new(Vec::new()));
        let push = |name: &'static str| {
            let order = Rc::clone(&order);
            Cleanup {
                name: name.to_owned(),
                run: Box::pin(async move { order.borrow_mut().push(name) }),
            }
        };
        let hangs = Cleanup {
            name: "hangs".to_owned(),
            run: Box::pin(pending()),
        };
        assert!(
            clean_up(vec![push("pool"), push("cache")], soon())
                .await
                .is_empty()
        );
        assert_eq!(*order.borrow(), ["cache", "pool"]);
        // What is before it is not begun any more, and named as well.
        assert_eq!(clean_up(vec![hangs, push("late")], soon()).await, ["hangs"]);
    }
}
