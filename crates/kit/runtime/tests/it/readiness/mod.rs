//! `/ready` and what it depends on.

mod servers;
