//! Values that hold for a while and then end by themselves, such as what an operator asks for on the management port.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use actix_rt::{task::JoinHandle, time::sleep};
use arc_swap::ArcSwapOption;

/// A value that holds until its time has come, until it is ended, or until another takes its place. There is one
/// timer at most, however often that happens.
///
/// ```
/// use std::time::Duration;
///
/// use berth_kit_http::Temporary;
///
/// # #[actix_web::main]
/// # async fn main() {
/// let greeting = Temporary::default();
/// greeting.set("Ahoy", Duration::from_millis(20), || {});
/// assert_eq!(greeting.get().map(|now| now.value), Some("Ahoy"));
/// actix_web::rt::time::sleep(Duration::from_millis(40)).await;
/// assert!(greeting.get().is_none());
/// # }
/// ```
#[derive(Debug)]
pub struct Temporary<T> {
    current: Arc<ArcSwapOption<Until<T>>>,
    timer: Mutex<Option<JoinHandle<()>>>,
}

/// A value, and when it ends.
#[derive(Debug, Clone, Copy)]
pub struct Until<T> {
    /// What holds.
    pub value: T,
    end: Instant,
}

impl<T> Until<T> {
    /// How long it will hold from now on.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }
}

impl<T> Default for Temporary<T> {
    fn default() -> Self {
        Self {
            current: Arc::default(),
            timer: Mutex::default(),
        }
    }
}

impl<T: Send + Sync + 'static> Temporary<T> {
    /// Has `value` hold for so long; `ended` is called when that is over, and not when it is ended or replaced before.
    /// To be called in an actix runtime, which has the timer.
    pub fn set(&self, value: T, lasts: Duration, ended: impl FnOnce() + 'static) {
        let mut timer = self.timer.lock().unwrap_or_else(PoisonError::into_inner);
        let until = Arc::new(Until {
            value,
            end: Instant::now() + lasts,
        });
        self.current.store(Some(Arc::clone(&until)));
        let current = Arc::clone(&self.current);
        let next = actix_rt::spawn(async move {
            sleep(lasts).await;
            // Another thread may have replaced it this moment.
            let was = current.compare_and_swap(&Some(Arc::clone(&until)), None);
            if was.as_ref().is_some_and(|was| Arc::ptr_eq(was, &until)) {
                ended();
            }
        });
        if let Some(before) = timer.replace(next) {
            before.abort();
        }
    }

    /// Ends the value, if one holds; tells whether one did.
    pub fn end(&self) -> bool {
        let mut timer = self.timer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(timer) = timer.take() {
            timer.abort();
        }
        self.current.swap(None).is_some()
    }

    /// The value, while one holds: to the moment when its end is told, which on a busy machine comes a little late.
    #[must_use]
    pub fn get(&self) -> Option<Arc<Until<T>>> {
        self.current.load_full()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    const SOON: Duration = Duration::from_millis(20);
    const LATER: Duration = Duration::from_mins(10);

    #[actix_web::test]
    async fn it_ends_once_when_its_time_has_come() {
        let (value, ended) = (Temporary::default(), Rc::new(Cell::new(0)));
        let count = Rc::clone(&ended);
        value.set(1, SOON, move || count.set(count.get() + 1));
        assert!(value.get().is_some_and(|until| until.left() <= SOON));
        sleep(SOON * 3).await;
        assert!(value.get().is_none());
        assert_eq!(ended.get(), 1);
        assert!(!value.end());
    }

    #[actix_web::test]
    async fn what_is_replaced_or_ended_is_not_told_of_and_leaves_no_timer() {
        let (value, alive) = (Temporary::default(), Rc::new(()));
        for number in 0..1000 {
            let timer = Rc::clone(&alive);
            value.set(number, LATER, move || {
                drop(timer);
                panic!("a value that no longer holds has ended");
            });
        }
        sleep(SOON).await;
        assert_eq!(value.get().map(|until| until.value), Some(999));
        assert_eq!(Rc::strong_count(&alive), 2);
        assert!(value.end());
        sleep(SOON).await;
        assert!(value.get().is_none());
        assert_eq!(Rc::strong_count(&alive), 1);
    }
}
