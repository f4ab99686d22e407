//! Lists, in a file or as TOML has them on one line.

use config::{FileFormat, Source as _, Value, ValueKind};

use crate::reading::layers::Raw;

/// The items of a list of at most `max` `things`. What is no list is refused with what is `allowed`, and not quoted:
/// there may be a password in it.
pub(super) fn list(
    raw: &Raw,
    allowed: &str,
    max: usize,
    things: &str,
) -> Result<Vec<Value>, String> {
    let items = match raw {
        Raw::Typed(ValueKind::Array(items)) => items.clone(),
        Raw::Typed(_) => return Err(allowed.to_owned()),
        Raw::Text(text) => text.to_str().and_then(inline).ok_or(allowed)?,
    };
    if items.len() > max {
        return Err(format!("must have at most {max} {things}"));
    }
    Ok(items)
}

fn inline(text: &str) -> Option<Vec<Value>> {
    let mut root = config::File::from_str(&format!("list = {text}"), FileFormat::Toml)
        .collect()
        .ok()?;
    match root.remove("list")?.kind {
        ValueKind::Array(items) if root.is_empty() => Some(items),
        _ => None,
    }
}
