//! The date of an answer.
//!
//! hyper's own stays where it is when the clock is set back, until the clock has come there again.

use std::{
    cell::RefCell,
    time::{SystemTime, UNIX_EPOCH},
};

use hyper::header::HeaderValue;

thread_local! {
    /// The text of a second, which is that of most answers.
    static LAST: RefCell<Option<(u64, HeaderValue)>> = const { RefCell::new(None) };
}

/// The time now, as HTTP writes it.
pub(crate) fn now() -> HeaderValue {
    let now = SystemTime::now();
    let second = now
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    LAST.with_borrow_mut(|last| match last {
        Some((of, text)) if *of == second => text.clone(),
        _ => {
            let text = HeaderValue::try_from(httpdate::fmt_http_date(now))
                .unwrap_or_else(|_| HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"));
            *last = Some((second, text.clone()));
            text
        }
    })
}
