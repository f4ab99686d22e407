//! The settings of the service.
//!
//! They are Berth's own sections so far, which `crates/kit/settings/defaults.toml` lists; a section of the
//! service's own goes here.

pub use berth_kit_settings::Settings;
