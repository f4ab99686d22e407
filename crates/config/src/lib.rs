//! The settings of the service: Berth's sections, which `crates/kit/settings/defaults.toml` lists, and its own.
//!
//! To add one: write its type as [`ServiceSettings`] shows it, give [`Settings`] a field for it, take it below, and have
//! `just settings-reference` write its comments into `docs/settings.md`.

use berth_kit_settings::{Sections, ServiceSettings};

/// The settings of the service.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Berth's sections.
    pub berth: berth_kit_settings::Settings,
}

impl ServiceSettings for Settings {
    fn read(berth: berth_kit_settings::Settings, _sections: &mut Sections<'_>) -> Self {
        Self { berth }
    }
}
