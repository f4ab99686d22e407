//! What a service mounts, and what is known of it once it is mounted.

use std::{cell::RefCell, collections::HashMap, fmt, future::ready, rc::Rc, sync::Arc};

use actix_web::{
    App, HttpResponse,
    introspection::{
        GuardDetailReport, GuardReport, IntrospectionNode, IntrospectionTree, ResourceType,
    },
    test, web,
};
use utoipa::{PartialSchema as _, ToSchema as _};

use super::{
    groups::{self, Pending},
    method::method_name,
    mount::{Documentation, Documented, ServiceConfig},
};
use crate::{problem::Problem, table::Route};

type Mounting = Arc<dyn Fn(&mut ServiceConfig<'_>) + Send + Sync>;

/// The handlers of a service and what they share. Each worker mounts them anew.
///
/// ```
/// use actix_web::{Responder, get};
/// use berth_kit_http::{Routes, scope};
///
/// /// Greets.
/// #[utoipa::path(responses((status = 200, body = String)))]
/// #[get("/hello")]
/// async fn hello() -> impl Responder {
///     "Hello!"
/// }
///
/// let routes = Routes::new(|cfg| {
///     cfg.service(scope("/api/v1").service(hello));
/// });
/// ```
#[derive(Clone, Default)]
#[must_use = "routes are served only where they are given to the kit"]
pub struct Routes {
    mounting: Vec<Mounting>,
    in_groups: bool,
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routes").finish_non_exhaustive()
    }
}

impl Routes {
    /// The routes that `mount` mounts.
    pub fn new(mount: impl Fn(&mut ServiceConfig<'_>) + Send + Sync + 'static) -> Self {
        Self::default().configure(mount)
    }

    /// With those that `mount` mounts, too. Where two of them hold for a path, the earlier one answers.
    pub fn configure(
        mut self,
        mount: impl Fn(&mut ServiceConfig<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.mounting.push(Arc::new(mount));
        self
    }

    /// With state that handlers take as `web::Data<T>`, one for all workers.
    pub fn data<T: Send + Sync + 'static>(self, data: T) -> Self {
        let data = web::Data::new(data);
        self.configure(move |cfg| {
            cfg.app_data(data.clone());
        })
    }

    /// With the routes and the state of `others`, after these.
    pub fn merge(mut self, others: Self) -> Self {
        self.mounting.extend(others.mounting);
        self
    }

    /// Mounts them in groups from now on, where there are many. For routes of which a [`survey`](Self::survey) has
    /// found that all are documented, so that what is known of their paths is true.
    pub fn in_groups(self) -> Self {
        Self {
            in_groups: true,
            ..self
        }
    }

    /// Mounts them on the app of a worker.
    pub fn mount(&self, app: &mut web::ServiceConfig) {
        let pending = self.collect(app, &mut Documented::default());
        groups::mount(app, pending, self.in_groups);
    }

    fn collect(&self, app: &mut web::ServiceConfig, documented: &mut Documented) -> Vec<Pending> {
        ServiceConfig::collect(app, documented, |cfg| {
            for mount in &self.mounting {
                mount(cfg);
            }
        })
    }

    /// Mounts them once, to see what there is.
    ///
    /// # Errors
    ///
    /// When two handlers answer the same method on the same path, or two types that are documented have one name.
    pub async fn survey(&self) -> Result<Survey, Conflict> {
        let mut documented = Documented::default();
        let seen = Rc::new(RefCell::new(None));
        let keep = Rc::clone(&seen);
        let app = App::new()
            .configure(|app| {
                let pending = self.collect(app, &mut documented);
                groups::mount(app, pending, false);
            })
            .wrap_fn(move |req, _| {
                let tree = req.app_data::<web::Data<IntrospectionTree>>().cloned();
                // Which pattern the router comes to first with a path of each.
                let first = |pattern: &str| req.resource_map().match_pattern(&sample(pattern)?);
                keep.replace(tree.map(|tree| {
                    let first = patterns(&tree.root).into_iter().map(|pattern| {
                        let found = first(pattern);
                        (pattern.to_owned(), found)
                    });
                    let first: Vec<_> = first.collect();
                    (tree, first)
                }));
                ready(Ok(req.into_response(HttpResponse::Ok())))
            });
        // What actix has for tests is what runs an app without a server.
        let app = test::init_service(app).await;
        test::call_service(&app, test::TestRequest::default().to_request()).await;
        let mut survey = Survey {
            routes: Vec::new(),
            documented,
        };
        if let Some((tree, first)) = seen.take() {
            survey.look(&tree.root)?;
            survey.check()?;
            survey.check_is_reached(&first)?;
        }
        survey.check_is_mounted()?;
        Ok(survey)
    }
}

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
    /// Two handlers do, and not both are documented.
    #[error(
        "something that is mounted at {path} is never reached, for something before it answers the same \
         methods; give one of them another path or method"
    )]
    Unreachable {
        /// The path.
        path: String,
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

    fn look(&mut self, node: &IntrospectionNode) -> Result<(), Conflict> {
        if node.potentially_unreachable {
            // Where it is known what is in the way, it is told below.
            self.check()?;
            let path = node.full_path.clone();
            return Err(Conflict::Unreachable { path });
        }
        if matches!(node.kind, ResourceType::Resource) {
            self.routes.push(Route {
                pattern: node.full_path.clone(),
                methods: node.methods.iter().map(ToString::to_string).collect(),
                is_guarded: !node.guard_details.iter().all(is_of_methods),
            });
        }
        node.children.iter().try_for_each(|child| self.look(child))
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
            // Where guards ask for more than a method, nobody knows.
            if before.is_guarded {
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

/// A path of this pattern; none where a parameter has a form of its own.
fn sample(pattern: &str) -> Option<String> {
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

/// The operation id, which is the handler's name.
fn name(known: &Documentation) -> String {
    let id = known.operation.operation_id.clone();
    id.unwrap_or_else(|| "a handler without a name".to_owned())
}

/// A pattern as OpenAPI has it: `/files/{path:.*}` is `/files/{path}`.
fn documented_path(pattern: &str) -> String {
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

#[cfg(test)]
mod tests;
