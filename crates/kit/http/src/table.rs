//! Which route a request belongs to, known before the router has run.
//!
//! A request that is aborted leaves no response to ask, so the route has to be known up front. The
//! patterns are few and most are plain paths, so this is a handful of string comparisons.

use actix_web::dev::{ResourceDef, ServiceRequest};

/// A route as the metrics and the access log know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route<'a> {
    /// Its pattern, as the router has it: `/debug/bytes/{n}`.
    pub pattern: &'a str,
    /// The methods that it answers.
    pub methods: &'a [&'a str],
    /// Whether its requests are counted; those of the scrape itself are not.
    pub counted: bool,
}

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

/// All routes of the service.
#[derive(Debug)]
pub struct Routes {
    /// By [`RouteId`]; the first is the unmatched one.
    known: Vec<Known>,
    plain: Vec<(String, RouteId)>,
    patterns: Vec<(ResourceDef, RouteId)>,
}

/// What is known of a route.
#[derive(Debug)]
pub struct Known {
    /// Its pattern, or `unmatched`.
    pub name: String,
    /// The methods that it answers.
    pub methods: Vec<String>,
    /// Whether its requests are counted.
    pub counted: bool,
}

impl Routes {
    /// The routes in the order in which the router tries them.
    pub fn new<'a>(routes: impl IntoIterator<Item = Route<'a>>) -> Self {
        let mut all = Self {
            known: vec![Known {
                name: UNMATCHED.to_owned(),
                methods: Vec::new(),
                counted: true,
            }],
            plain: Vec::new(),
            patterns: Vec::new(),
        };
        for route in routes {
            let Ok(id) = u16::try_from(all.known.len()).map(RouteId) else {
                break;
            };
            all.known.push(Known {
                name: route.pattern.to_owned(),
                methods: route.methods.iter().map(|m| (*m).to_owned()).collect(),
                counted: route.counted,
            });
            if route.pattern.contains('{') {
                all.patterns.push((ResourceDef::new(route.pattern), id));
            } else {
                all.plain.push((route.pattern.to_owned(), id));
            }
        }
        all
    }

    /// The route that the router will choose for this request, whatever its method.
    #[must_use]
    pub fn find(&self, req: &ServiceRequest) -> RouteId {
        // The router matches the path after percent-decoding, so that is what to look at.
        self.find_path(req.match_info().as_str())
    }

    fn find_path(&self, path: &str) -> RouteId {
        let plain = self.plain.iter().find(|(pattern, _)| pattern == path);
        if let Some((_, id)) = plain {
            return *id;
        }
        let pattern = self.patterns.iter().find(|(def, _)| def.is_match(path));
        pattern.map_or(RouteId::UNMATCHED, |(_, id)| *id)
    }

    /// The route's pattern, or `unmatched`.
    #[must_use]
    pub fn name(&self, route: RouteId) -> &str {
        &self.known[route.index()].name
    }

    /// All of them; the first is the one for what matches none.
    #[must_use]
    pub fn known(&self) -> &[Known] {
        &self.known
    }

    /// Whether the requests of a route are counted.
    #[must_use]
    pub fn counted(&self, route: RouteId) -> bool {
        self.known[route.index()].counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_finds_its_pattern_and_nothing_else() {
        let route = |pattern| Route {
            pattern,
            methods: &["GET"],
            counted: true,
        };
        let routes = Routes::new([route("/health"), route("/debug/bytes/{n}")]);
        for (path, name) in [
            ("/health", "/health"),
            ("/debug/bytes/7", "/debug/bytes/{n}"),
            ("/debug/bytes/", "unmatched"),
            ("/debug/bytes/7/8", "unmatched"),
            ("/health/", "unmatched"),
            ("/Health", "unmatched"),
            ("unmatched", "unmatched"),
            ("", "unmatched"),
        ] {
            assert_eq!(routes.name(routes.find_path(path)), name, "{path}");
        }
    }
}
