//! What is known of routes once they are mounted.

use std::{cell::RefCell, collections::HashMap, future::ready, rc::Rc};

use actix_web::{
    App, HttpResponse,
    introspection::{
        GuardDetailReport, GuardReport, IntrospectionNode, IntrospectionTree, ResourceType,
    },
    test, web,
};
use utoipa::{PartialSchema as _, ToSchema as _};

use super::{
    documented::{Behind, Documentation, Documented, documented_path, sample},
    method::method_name,
};
use crate::{problem::Problem, table::Route};

/// What is mounted.
#[derive(Debug)]
pub struct Survey {
    /// Every path, with the methods that are answered there.
    pub routes: Vec<Route>,
    pub(crate) documented: Documented,
}

/// What is mounted contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// Two handlers answer the same method on the same path.
    #[error(
        "{method} {path} is declared twice, by {first} and by {second}; give one of them another path or method"
    )]
    Twice {
        /// The method.
        method: &'static str,
        /// The path.
        path: String,
        /// The operation id of the one, which is the handler's name.
        first: String,
        /// And of the other.
        second: String,
    },
    /// Two different types have one name in the OpenAPI document.
    #[error(
        "two different types are called {name} in the OpenAPI document; give one of them another name, by \
         #[schema(as = …)]"
    )]
    Schema {
        /// The name.
        name: String,
    },
    /// A handler is never reached.
    #[error(
        "{method} {path} is never reached, since {by}, which is mounted before it, answers its paths; mount it first"
    )]
    Shadowed {
        /// The method.
        method: String,
        /// The path.
        path: String,
        /// The pattern that answers.
        by: String,
    },
    /// A scope answers all that is below it, be it with 404.
    #[error(
        "{path} is never reached, since the scope \"{scope}\", which is mounted before it, answers whatever is below it; \
         put it into that scope, or mount it before"
    )]
    BehindScope {
        /// The path.
        path: String,
        /// What the paths in the scope begin with.
        scope: String,
    },
    /// Documentation of what is not there.
    #[error(
        "the documentation of {handler} is for {method} {path}, where nothing answers; correct its path"
    )]
    NotMounted {
        /// The handler.
        handler: String,
        /// The method.
        method: &'static str,
        /// The path.
        path: String,
    },
    /// A route that is never to be shed is not there.
    #[error(
        "never_shed names {pattern}, and no route has that pattern; write it as it is mounted, with the prefixes of its scopes"
    )]
    NoSuchRoute {
        /// The pattern.
        pattern: String,
    },
    /// Two handlers do, and not both are documented.
    #[error(
        "something that is mounted at {path} is never reached, for something before it answers the same methods; \
         give one of them another path or method; it is mounted at {}",
        places.join(" and at ")
    )]
    Unreachable {
        /// The path.
        path: String,
        /// Where in the code what is mounted there was given to [`ServiceConfig`](crate::ServiceConfig), as
        /// `src/lib.rs:12:9`; only one place where that mounts both.
        places: Vec<String>,
    },
}

impl Survey {
    /// What is mounted without documentation, such as `GET /orders`. HEAD is documented with GET.
    #[must_use]
    pub fn undocumented(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for route in &self.routes {
            let path = documented_path(&route.pattern);
            let known: Vec<_> = self
                .documented
                .operations
                .iter()
                .filter(|known| known.path == path)
                .map(|known| method_name(&known.method))
                .collect();
            if route.methods.is_empty() && known.is_empty() {
                missing.push(format!("any method {}", route.pattern));
            }
            for method in &route.methods {
                let with_get = method == "HEAD" && known.contains(&"GET");
                if !with_get && !known.contains(&method.as_str()) {
                    missing.push(format!("{method} {}", route.pattern));
                }
            }
        }
        missing
    }

    /// Whether a scope answers this path, be it with 404, so that it would never come to what is mounted later.
    #[must_use]
    pub fn takes(&self, path: &str) -> bool {
        self.documented.takes(path)
    }

    /// Of what was seen; `places` tells where what is mounted at a path was.
    pub(super) async fn new(
        documented: Documented,
        seen: Option<Seen>,
        places: impl AsyncFnOnce(&str) -> Vec<String>,
    ) -> Result<Self, Conflict> {
        let mut survey = Self {
            routes: Vec::new(),
            documented,
        };
        if let Some(Seen { tree, first }) = seen {
            survey.routes = routes(&tree.root);
            survey.check()?;
            survey.check_is_before_scopes()?;
            if let Some(path) = unreachable(&tree.root) {
                let places = places(&path).await;
                return Err(Conflict::Unreachable { path, places });
            }
            survey.check_is_reached(&first)?;
        }
        survey.check_is_mounted()?;
        Ok(survey)
    }

    fn check_is_before_scopes(&self) -> Result<(), Conflict> {
        let operations = &self.documented.operations;
        let undocumented = self.routes.iter().filter(|route| {
            let path = documented_path(&route.pattern);
            operations.iter().all(|known| known.path != path)
        });
        let behind = self.documented.behind.first().cloned();
        let patterns = undocumented.map(|route| &*route.pattern);
        match behind.or_else(|| self.documented.behind_of(patterns)) {
            Some(Behind { path, scope }) => Err(Conflict::BehindScope { path, scope }),
            None => Ok(()),
        }
    }

    /// `first` has, for each pattern, the one that the router comes to first with a path of it.
    fn check_is_reached(&self, first: &[(String, Option<String>)]) -> Result<(), Conflict> {
        let route = |pattern: &str| self.routes.iter().find(|route| route.pattern == pattern);
        for (pattern, by) in first {
            let Some(by) = by.as_ref().filter(|by| *by != pattern) else {
                continue;
            };
            let (Some(later), Some(before)) = (route(pattern), route(by)) else {
                continue;
            };
            // Where guards ask for more than a method, nobody knows; nor what a form of its own leaves.
            if before.is_guarded || has_form(by) {
                continue;
            }
            let answers = before.answers();
            if let Some(method) = later
                .answers()
                .into_iter()
                .find(|method| answers.contains(method))
            {
                return Err(Conflict::Shadowed {
                    method: method.to_owned(),
                    path: pattern.clone(),
                    by: by.clone(),
                });
            }
        }
        Ok(())
    }

    fn check_is_mounted(&self) -> Result<(), Conflict> {
        let is_mounted = |known: &Documentation| {
            let method = method_name(&known.method);
            self.routes.iter().any(|route| {
                let answers = route.methods.is_empty() || route.answers().contains(&method);
                answers && documented_path(&route.pattern) == known.path
            })
        };
        let mut operations = self.documented.operations.iter();
        operations
            .find(|known| !is_mounted(known))
            .map_or(Ok(()), |known| {
                Err(Conflict::NotMounted {
                    handler: name(known),
                    method: method_name(&known.method),
                    path: known.path.clone(),
                })
            })
    }

    fn check(&self) -> Result<(), Conflict> {
        let operations = &self.documented.operations;
        for (place, second) in operations.iter().enumerate() {
            let first = operations[..place]
                .iter()
                .find(|first| first.path == second.path && first.method == second.method);
            if let Some(first) = first {
                return Err(Conflict::Twice {
                    method: method_name(&second.method),
                    path: second.path.clone(),
                    first: name(first),
                    second: name(second),
                });
            }
        }
        let problem = (Problem::name().into_owned(), Problem::schema());
        let mut schemas = HashMap::from([(&problem.0, &problem.1)]);
        for (name, schema) in &self.documented.schemas {
            if *schemas.entry(name).or_insert(schema) != schema {
                return Err(Conflict::Schema { name: name.clone() });
            }
        }
        Ok(())
    }
}

/// What actix knows of an app.
pub(super) struct Seen {
    tree: IntrospectionTree,
    /// Which pattern the router comes to first with a path of each.
    first: Vec<(String, Option<String>)>,
}

/// Makes an app of what `mount` mounts, to see what there is.
pub(super) async fn see(mount: impl FnOnce(&mut web::ServiceConfig)) -> Option<Seen> {
    let seen = Rc::new(RefCell::new(None));
    let keep = Rc::clone(&seen);
    let app = App::new().configure(mount).wrap_fn(move |req, _| {
        let tree = req.app_data::<web::Data<IntrospectionTree>>().cloned();
        let first = |pattern: &str| req.resource_map().match_pattern(&sample(pattern)?);
        keep.replace(tree.map(|tree| {
            let first = patterns(&tree.root)
                .into_iter()
                .map(|pattern| (pattern.to_owned(), first(pattern)))
                .collect();
            let tree = tree.get_ref().clone();
            Seen { tree, first }
        }));
        ready(Ok(req.into_response(HttpResponse::Ok())))
    });
    // What actix has for tests is what runs an app without a server.
    let app = test::init_service(app).await;
    test::call_service(&app, test::TestRequest::default().to_request()).await;
    seen.take()
}

impl Seen {
    /// Whether something is mounted at this path.
    pub(super) fn has(&self, path: &str) -> bool {
        fn has(node: &IntrospectionNode, path: &str) -> bool {
            // One without patterns is a part of a path.
            (node.full_path == path && !node.patterns.is_empty())
                || node.children.iter().any(|child| has(child, path))
        }
        has(&self.tree.root, path)
    }
}

/// All resources.
fn routes(node: &IntrospectionNode) -> Vec<Route> {
    let own = matches!(node.kind, ResourceType::Resource).then(|| Route {
        pattern: node.full_path.clone(),
        methods: node.methods.iter().map(ToString::to_string).collect(),
        is_guarded: !node.guard_details.iter().all(is_of_methods),
    });
    own.into_iter()
        .chain(node.children.iter().flat_map(routes))
        .collect()
}

/// The first path with something that actix says is never reached.
fn unreachable(node: &IntrospectionNode) -> Option<String> {
    if node.potentially_unreachable {
        return Some(node.full_path.clone());
    }
    node.children.iter().find_map(unreachable)
}

/// Whether a parameter of this pattern takes some values and not others: `{id:[0-9]+}`, and not `{path:.*}`.
fn has_form(pattern: &str) -> bool {
    pattern.replace(":.*}", "}").contains(':')
}

fn is_of_methods(guard: &GuardReport) -> bool {
    let is_method =
        |detail: &GuardDetailReport| matches!(detail, GuardDetailReport::HttpMethods { .. });
    !guard.details.is_empty() && guard.details.iter().all(is_method)
}

/// The patterns of all resources.
fn patterns(node: &IntrospectionNode) -> Vec<&str> {
    let own = matches!(node.kind, ResourceType::Resource).then_some(&*node.full_path);
    own.into_iter()
        .chain(node.children.iter().flat_map(patterns))
        .collect()
}

/// The operation id, which is the handler's name.
fn name(known: &Documentation) -> String {
    let id = known.operation.operation_id.clone();
    id.unwrap_or_else(|| "a handler without a name".to_owned())
}
