//! What DNS has answered, for as long as it holds.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A program asks for few names; whatever makes it ask for more must not take its memory.
const MOST: usize = 256;

/// How long an answer is kept at most, whatever its time to live.
const LONGEST: Duration = Duration::from_hours(1);

#[derive(Default)]
pub(crate) struct Cache(Mutex<HashMap<String, Kept>>);

struct Kept {
    addresses: Vec<IpAddr>,
    until: Instant,
}

impl Cache {
    pub(crate) fn get(&self, host: &str) -> Option<Vec<IpAddr>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.get(host)?;
        (Instant::now() < kept.until).then(|| kept.addresses.clone())
    }

    pub(crate) fn put(&self, host: &str, addresses: &[IpAddr], lives: Duration) {
        if lives.is_zero() {
            return;
        }
        let now = Instant::now();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST {
            kept.retain(|_, kept| now < kept.until);
        }
        if kept.len() < MOST {
            let answer = Kept {
                addresses: addresses.to_vec(),
                until: now + lives.min(LONGEST),
            };
            kept.insert(host.to_owned(), answer);
        }
    }
}
