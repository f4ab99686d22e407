//! The settings of the service: the kit's sections, which `crates/kit/settings/defaults.toml` lists, and its own.
//!
//! To add one: write its type as [`ServiceSettings`] shows it, give [`Settings`] a field for it, take it below, and have
//! `just settings-reference` write its comments into `docs/settings.md`.

use berth_kit_settings::{Sections, ServiceSettings};

/// The settings of the service.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The kit's sections.
    pub kit: berth_kit_settings::Settings,
}

impl ServiceSettings for Settings {
    fn read(kit: berth_kit_settings::Settings, _sections: &mut Sections<'_>) -> Self {
        Self { kit }
    }
}
