//! What is running.

use serde::Serialize;
use utoipa::ToSchema;

/// What is running, from the build and the settings.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BuildInfo {
    /// `app.name`.
    pub app: String,
    /// `app.version`.
    pub version: String,
    /// The git commit that the binary was built from, or `unknown`.
    pub revision: String,
    /// `HOSTNAME`, else the system's: in Kubernetes, the pod's name.
    pub hostname: String,
    /// `app.environment`.
    pub env: String,
    /// The compiler's version.
    pub rustc: String,
    /// One sentence for people.
    pub message: String,
}
