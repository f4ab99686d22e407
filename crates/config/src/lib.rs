//! The settings of the service: the kit's sections, which `crates/kit/settings/defaults.toml` lists, and its own.
//!
//! To add one: write its type as [`Hello`] is, give [`Settings`] a field for it, take it in `read`, and have
//! `just settings-reference` write its comments into `docs/settings.md`.

use berth_kit_settings::{Sections, ServiceSettings};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The settings of the service.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The kit's sections.
    pub kit: berth_kit_settings::Settings,
    /// How people are greeted.
    pub hello: Hello,
}

impl ServiceSettings for Settings {
    fn read(kit: berth_kit_settings::Settings, sections: &mut Sections<'_>) -> Self {
        Self {
            kit,
            hello: sections.take("hello"),
        }
    }
}

// The section to copy when you write your own.
/// How people are greeted.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Hello {
    /// The word before the name in what `/api/v1/hello` answers, 1 to 64 characters.
    #[garde(length(chars, min = 1, max = 64))]
    pub greeting: String,
}

impl Default for Hello {
    fn default() -> Self {
        Self {
            greeting: "Hello".to_owned(),
        }
    }
}
