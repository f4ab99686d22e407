//! What the types of the service's own sections tell of themselves.

use serde_json::Value as Json;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

/// A section of the service's own, for its reference.
pub(crate) struct Described {
    pub(crate) section: String,
    /// Not made before it is asked for: a service that starts has no use for it.
    pub(crate) document: fn() -> Document,
}

/// What a type tells of itself.
pub(crate) struct Document {
    schema: Json,
    components: Vec<(String, Json)>,
}

impl Document {
    pub(crate) fn of<T: ToSchema>() -> Self {
        let json = |schema: &RefOr<Schema>| serde_json::to_value(schema).unwrap_or_default();
        let mut components = Vec::new();
        T::schemas(&mut components);
        Self {
            schema: json(&T::schema()),
            components: components
                .iter()
                .map(|(name, schema)| (name.clone(), json(schema)))
                .collect(),
        }
    }

    pub(crate) fn about(&self) -> &str {
        self.schema["description"].as_str().unwrap_or_default()
    }

    /// The comment of a field, and what its type allows.
    pub(crate) fn about_key(&self, name: &str) -> String {
        let field = &self.schema["properties"][name];
        // That of an optional field may stand beside what it refers to.
        let mut places = [field].into_iter().chain(alternatives(field));
        let about = places.find_map(|place| place["description"].as_str());
        let about = about.unwrap_or_default();
        let values = self.values(field);
        if values.is_empty() {
            return about.to_owned();
        }
        let values: Vec<_> = values.iter().map(|value| format!("`{value}`")).collect();
        format!("{about}\n\nOne of {}.", values.join(", "))
            .trim_start()
            .to_owned()
    }

    /// The values of an enum.
    fn values<'a>(&'a self, schema: &'a Json) -> Vec<&'a Json> {
        if let Some(values) = schema["enum"].as_array() {
            return values.iter().collect();
        }
        let named = schema["$ref"]
            .as_str()
            .and_then(|path| path.rsplit('/').next());
        let found = named.and_then(|named| self.components.iter().find(|(name, _)| name == named));
        let referred = found.map(|(_, schema)| schema);
        alternatives(schema)
            .chain(referred)
            .flat_map(|schema| self.values(schema))
            .collect()
    }
}

/// What a value may be one of.
fn alternatives(schema: &Json) -> impl Iterator<Item = &Json> {
    let of = ["oneOf", "anyOf", "allOf"].into_iter();
    of.filter_map(|of| schema[of].as_array()).flatten()
}
