//! Durations of a section, as Berth's own are written: `250ms`, `1m 30s`.
//!
//! ```
//! use std::time::Duration;
//!
//! use serde::{Deserialize, Serialize};
//! use utoipa::ToSchema;
//!
//! #[derive(Serialize, Deserialize, ToSchema)]
//! struct Orders {
//!     #[schema(value_type = String)]
//!     #[serde(with = "berth_kit_settings::duration")]
//!     ttl: Duration,
//! }
//! ```

use std::time::Duration;

use serde::{Deserialize as _, Deserializer, Serializer, de};

use crate::reading::parse::humane;

/// Writes it down.
///
/// # Errors
///
/// Those of `serializer`.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(*duration))
}

/// Reads it.
///
/// # Errors
///
/// When it is no duration, or has no unit.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let is_number = text.trim().parse::<f64>().is_ok();
    humane(&text)
        .filter(|_| !is_number)
        .ok_or_else(|| de::Error::custom("must be a duration with its unit, such as `1m 30s`"))
}
