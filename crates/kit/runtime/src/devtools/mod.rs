//! Debug routes and fault injection, which are a cargo feature: the one place that knows whether they are there.
//! Where they are not, `left_out` stands in for them, and nothing of them is in the binary.

#[cfg(not(feature = "devtools"))]
mod left_out;

#[cfg(feature = "devtools")]
pub(crate) use berth_kit_devtools::{debug, faults};
use berth_kit_settings::{Error, Loaded};
#[cfg(not(feature = "devtools"))]
pub(crate) use left_out::{debug, faults};

/// Refuses settings that ask for what this program was built without.
///
/// # Errors
///
/// [`Error`], which names the feature.
pub(crate) fn needed(loaded: &Loaded) -> Result<(), Error> {
    if cfg!(feature = "devtools") || !loaded.settings.debug.routes {
        return Ok(());
    }
    Err(loaded.refuse(
        "debug.routes",
        "must be false, since this program was built without these routes; build it with the cargo feature devtools",
    ))
}
