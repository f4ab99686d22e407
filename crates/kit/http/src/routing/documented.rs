//! The documentation of what is mounted, and what its order makes of it.

use std::{collections::BTreeMap, fmt};

use actix_web::dev::ResourceDef;
use utoipa::openapi::{
    OpenApi, RefOr, Response, Schema,
    path::{HttpMethod, Operation, PathItem, Paths},
    security::SecurityScheme,
};

/// The documentation of what is mounted.
#[derive(Default)]
pub struct Documented {
    pub(crate) operations: Vec<Documentation>,
    pub(crate) schemas: Vec<(String, RefOr<Schema>)>,
    pub(crate) responses: BTreeMap<String, RefOr<Response>>,
    pub(crate) security: BTreeMap<String, RefOr<SecurityScheme>>,
    /// The scopes so far that take every path below them from what is mounted later.
    scopes: Vec<Prefix>,
    /// Of these, the ones before the first thing that was mounted in actix's own ways.
    scopes_before_actix: Option<Vec<Prefix>>,
    pub(crate) behind: Vec<Behind>,
}

/// The documentation of one method of one path.
#[derive(Clone)]
pub(crate) struct Documentation {
    pub(crate) path: String,
    pub(crate) method: HttpMethod,
    pub(crate) operation: Operation,
}

/// A path that is never reached, since a scope before it takes it.
#[derive(Clone)]
pub(crate) struct Behind {
    pub(crate) path: String,
    pub(crate) scope: String,
}

/// What every path in a scope begins with.
#[derive(Clone)]
struct Prefix(String);

impl fmt::Debug for Documented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.operations.iter().map(|known| &known.path))
            .finish()
    }
}

impl Documented {
    pub(crate) fn add(&mut self, openapi: OpenApi) {
        self.add_paths(openapi.paths);
        if let Some(components) = openapi.components {
            self.schemas.extend(components.schemas);
            self.responses.extend(components.responses);
            self.security.extend(components.security_schemes);
        }
    }

    fn add_paths(&mut self, paths: Paths) {
        for (path, item) in paths.paths {
            for (method, operation) in operations(item) {
                self.operations.push(Documentation {
                    path: path.clone(),
                    method,
                    operation,
                });
            }
        }
    }

    /// A handler is mounted now, with its documentation.
    pub(crate) fn mount(&mut self, paths: Paths) {
        for path in paths.paths.keys() {
            self.mount_at(path);
        }
        self.add_paths(paths);
    }

    /// Something is mounted at this path now.
    pub(crate) fn mount_at(&mut self, path: &str) {
        if let Some(scope) = taken(&self.scopes, path) {
            self.behind.push(Behind {
                path: path.to_owned(),
                scope,
            });
        }
    }

    /// Something is mounted now, nobody knows where.
    pub(crate) fn mount_somewhere(&mut self) {
        let scopes = &self.scopes;
        self.scopes_before_actix
            .get_or_insert_with(|| scopes.clone());
    }

    /// A scope is mounted now, with what it holds.
    pub(crate) fn mount_scope(&mut self, prefix: &str, is_guarded: bool, inner: &Self) {
        let documented = documented_path(prefix.trim_end_matches('/'));
        for known in &inner.operations {
            let path = format!("{documented}{}", known.path);
            self.mount_at(&path);
            self.operations.push(Documentation {
                path,
                ..known.clone()
            });
        }
        self.behind.extend(inner.behind.iter().map(|behind| Behind {
            path: format!("{documented}{}", behind.path),
            scope: format!("{prefix}{}", behind.scope),
        }));
        self.schemas.extend(inner.schemas.iter().cloned());
        self.responses.extend(inner.responses.clone());
        self.security.extend(inner.security.clone());
        if inner.scopes_before_actix.is_some() {
            self.mount_somewhere();
        }
        // What a guard holds back comes to what is mounted later. Without one, nothing below it does, whatever it has.
        if !is_guarded {
            self.scopes.push(Prefix(prefix.to_owned()));
        }
    }

    /// Whether a scope takes this path from what is mounted after all of this.
    pub(crate) fn takes(&self, path: &str) -> bool {
        taken(&self.scopes, path).is_some()
    }

    /// The first of these patterns that is never reached, of those that were mounted in actix's own ways.
    pub(crate) fn behind_of<'a>(
        &self,
        mut undocumented: impl Iterator<Item = &'a str>,
    ) -> Option<Behind> {
        let scopes = self.scopes_before_actix.as_deref()?;
        undocumented.find_map(|pattern| {
            let scope = taken(scopes, pattern)?;
            let path = pattern.to_owned();
            Some(Behind { path, scope })
        })
    }
}

/// The first of these scopes that takes every path of this pattern.
fn taken(scopes: &[Prefix], pattern: &str) -> Option<String> {
    let sample = sample(pattern)?;
    let has_parameters = pattern.contains('{');
    let takes = |Prefix(prefix): &&Prefix| {
        // Where a parameter of it has a form of its own, other values of the pattern's may be free.
        let is_known = !has_parameters || documented_path(prefix) == *prefix;
        is_known && ResourceDef::root_prefix(prefix).is_match(&sample)
    };
    let Prefix(prefix) = scopes.iter().find(takes)?;
    Some(prefix.clone())
}

/// Every method that a path item has.
fn operations(item: PathItem) -> impl Iterator<Item = (HttpMethod, Operation)> {
    [
        (HttpMethod::Get, item.get),
        (HttpMethod::Put, item.put),
        (HttpMethod::Post, item.post),
        (HttpMethod::Delete, item.delete),
        (HttpMethod::Options, item.options),
        (HttpMethod::Head, item.head),
        (HttpMethod::Patch, item.patch),
        (HttpMethod::Trace, item.trace),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation?)))
}

/// A path of this pattern; none where a parameter has a form of its own.
pub(crate) fn sample(pattern: &str) -> Option<String> {
    let mut path = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}')?;
        if name.contains(':') || after.starts_with('*') {
            return None;
        }
        path.push_str(before);
        path.push_str("what-no-literal-is");
        rest = after;
    }
    path.push_str(rest);
    Some(path)
}

/// A pattern as OpenAPI has it: `/files/{path:.*}` is `/files/{path}`.
pub(crate) fn documented_path(pattern: &str) -> String {
    let mut path = String::with_capacity(pattern.len());
    let (mut depth, mut in_regex) = (0_u32, false);
    for char in pattern.chars() {
        match char {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ':' if depth == 1 => in_regex = true,
            _ => {}
        }
        if depth == 0 {
            in_regex = false;
        }
        if !in_regex {
            path.push(char);
        }
    }
    path
}
