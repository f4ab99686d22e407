//! What is known of the routes that are mounted.
//!
//! The router decides which route answers; this is for those who need to name one without it: the log while a
//! request is handled, an exchange that ended without an answer, a 405 with `Allow`, HEAD.

use std::cmp::Reverse;

use actix_web::dev::ResourceDef;
use foldhash::{HashMap, HashMapExt as _};

/// What the route of a request that matches none is called.
pub const UNMATCHED: &str = "unmatched";

/// A known route, or the one for everything that matches none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteId(u16);

impl RouteId {
    /// What a request that matches no route belongs to.
    pub const UNMATCHED: Self = Self(0);

    /// Its place among the known routes.
    #[must_use]
    pub fn index(self) -> usize {
        self.0.into()
    }
}

impl From<u16> for RouteId {
    fn from(place: u16) -> Self {
        Self(place)
    }
}

impl From<RouteId> for u16 {
    fn from(route: RouteId) -> Self {
        route.0
    }
}

/// What is known of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Its pattern, as the router has it: `/debug/bytes/{n}`; or `unmatched`. Its label in the metrics.
    pub pattern: String,
    /// The methods that it answers, by name; none where it answers any.
    pub methods: Vec<String>,
    /// Whether it asks for more than a method, such as a host.
    pub is_guarded: bool,
}

impl Route {
    /// The methods that it answers, HEAD where there is GET; the common ones where any is answered.
    #[must_use]
    pub fn answers(&self) -> Vec<&str> {
        if self.methods.is_empty() {
            return vec!["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
        }
        let mut answers = Vec::with_capacity(self.methods.len() + 1);
        for method in &self.methods {
            answers.push(method.as_str());
            if method == "GET" && !self.methods.iter().any(|known| known == "HEAD") {
                answers.push("HEAD");
            }
        }
        answers
    }
}

/// All routes of a port.
#[derive(Debug)]
pub struct RouteTable {
    /// By [`RouteId`]; the first is the unmatched one.
    routes: Vec<Route>,
    by_pattern: HashMap<String, RouteId>,
    /// Those whose path no other route can have.
    only: HashMap<String, RouteId>,
    /// With a parameter, those with the longest literal beginning first.
    dynamic: Vec<(ResourceDef, RouteId)>,
    /// The path of the scrape, which is no use of the service.
    not_counted: Option<String>,
}

impl RouteTable {
    /// The table of `routes`; `not_counted` is the path whose requests are not counted.
    #[must_use]
    pub fn new(routes: Vec<Route>, not_counted: Option<String>) -> Self {
        let mut table = Self {
            routes: vec![Route {
                pattern: UNMATCHED.to_owned(),
                methods: Vec::new(),
                is_guarded: false,
            }],
            by_pattern: HashMap::new(),
            only: HashMap::new(),
            dynamic: Vec::new(),
            not_counted,
        };
        for route in routes {
            let place = u16::try_from(table.routes.len());
            let Some(id) = place.ok().filter(|place| *place < u16::MAX).map(RouteId) else {
                break;
            };
            if route.pattern.contains('{') {
                table
                    .dynamic
                    .push((ResourceDef::new(route.pattern.as_str()), id));
            }
            table.by_pattern.insert(route.pattern.clone(), id);
            table.routes.push(route);
        }
        let literal = |def: &ResourceDef| def.pattern().and_then(|text| text.find('{'));
        table.dynamic.sort_by_key(|(def, _)| Reverse(literal(def)));
        for (pattern, id) in &table.by_pattern {
            let others = table.dynamic.iter().any(|(def, _)| def.is_match(pattern));
            if !pattern.contains('{') && !others {
                table.only.insert(pattern.clone(), *id);
            }
        }
        table
    }

    /// The table of these patterns, for tests: each answers GET.
    #[must_use]
    pub fn of<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Self {
        let route = |pattern: &str| Route {
            pattern: pattern.to_owned(),
            methods: vec!["GET".to_owned()],
            is_guarded: false,
        };
        Self::new(patterns.into_iter().map(route).collect(), None)
    }

    /// The route with this pattern.
    #[must_use]
    pub fn by_pattern(&self, pattern: &str) -> Option<RouteId> {
        self.by_pattern.get(pattern).copied()
    }

    /// The route of this path, where no other one can have answered.
    #[must_use]
    pub fn only(&self, path: &str) -> Option<RouteId> {
        self.only.get(path).copied()
    }

    /// The route of this path, whatever the method. Where several patterns with parameters hold for it, the
    /// one with the longest literal beginning, which need not be the one that the router has first.
    #[must_use]
    pub fn find(&self, path: &str) -> RouteId {
        if let Some(id) = self.by_pattern.get(path) {
            // A path that reads like a pattern is one of its own.
            if !path.contains('{') {
                return *id;
            }
        }
        let dynamic = self.dynamic.iter().find(|(def, _)| def.is_match(path));
        dynamic.map_or(RouteId::UNMATCHED, |(_, id)| *id)
    }

    /// The methods that some route of this path answers.
    #[must_use]
    pub fn answers(&self, path: &str) -> Vec<&str> {
        let literal = self.by_pattern.get(path).filter(|_| !path.contains('{'));
        let dynamic = self.dynamic.iter().filter(|(def, _)| def.is_match(path));
        let mut answers = Vec::new();
        for id in literal.into_iter().chain(dynamic.map(|(_, id)| id)) {
            for method in self.get(*id).answers() {
                if !answers.contains(&method) {
                    answers.push(method);
                }
            }
        }
        answers
    }

    /// The route's pattern, or `unmatched`.
    #[must_use]
    pub fn name(&self, route: RouteId) -> &str {
        &self.get(route).pattern
    }

    /// What is known of a route.
    #[must_use]
    pub fn get(&self, route: RouteId) -> &Route {
        &self.routes[route.index()]
    }

    /// All of them; the first is the one for what matches none.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Whether requests for this path are counted.
    #[must_use]
    pub fn counts(&self, path: &str) -> bool {
        self.not_counted.as_deref() != Some(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_finds_its_pattern_and_nothing_else() {
        let table = RouteTable::of([
            "/health",
            "/debug/{kind}/{n}",
            "/debug/bytes/{n}",
            "/files/{path:.*}",
        ]);
        for (path, name) in [
            ("/health", "/health"),
            ("/debug/bytes/7", "/debug/bytes/{n}"),
            ("/debug/other/7", "/debug/{kind}/{n}"),
            ("/debug/{kind}/{n}", "/debug/{kind}/{n}"),
            ("/files/a/b", "/files/{path:.*}"),
            ("/debug/bytes/", "unmatched"),
            ("/debug/bytes/7/8", "unmatched"),
            ("/health/", "unmatched"),
            ("/Health", "unmatched"),
            ("unmatched", "unmatched"),
            ("", "unmatched"),
        ] {
            assert_eq!(table.name(table.find(path)), name, "{path}");
        }
        let table = RouteTable::of(["/a", "/b/new", "/b/{id}"]);
        assert_eq!(table.only("/a"), table.by_pattern("/a"));
        assert_eq!(table.only("/b/new"), None);
        assert_eq!(table.name(table.find("/b/new")), "/b/new");
        let route = |pattern: &str, method: &str| Route {
            pattern: pattern.to_owned(),
            methods: vec![method.to_owned()],
            is_guarded: false,
        };
        let both = vec![route("/b/new", "POST"), route("/b/{id}", "GET")];
        let table = RouteTable::new(both, None);
        assert_eq!(table.answers("/b/new"), ["POST", "GET", "HEAD"]);
        assert_eq!(table.answers("/b/7"), ["GET", "HEAD"]);
        assert!(table.answers("/c").is_empty());
    }

    #[test]
    fn head_is_answered_where_get_is() {
        let route = |methods: &[&str]| Route {
            pattern: "/".to_owned(),
            methods: methods.iter().map(|&method| method.to_owned()).collect(),
            is_guarded: false,
        };
        assert_eq!(route(&["GET", "PUT"]).answers(), ["GET", "HEAD", "PUT"]);
        assert_eq!(route(&["GET", "HEAD"]).answers(), ["GET", "HEAD"]);
        assert_eq!(route(&["POST"]).answers(), ["POST"]);
        assert!(route(&[]).answers().contains(&"DELETE"));
    }
}
