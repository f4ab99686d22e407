//! Endpoints by their path.

use std::{borrow::Cow, panic::Location};

use actix_web::web;
use serde_json::{Map, Value};

use crate::{Endpoint, Methods, Problem, Timeout, guard::Guard};

/// One path with all the endpoints that answer on it, each to methods of its own.
#[derive(Debug, Clone)]
pub struct Resource {
    endpoints: Vec<Endpoint>,
}

/// Two endpoints answer the same method on the same path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{method} {path} is declared twice, at {first} and at {second}; give one of them another path or method"
)]
pub struct Conflict {
    /// The method, or `any method`.
    pub method: String,
    /// The path.
    pub path: String,
    /// Where the one is declared.
    pub first: &'static Location<'static>,
    /// And the other.
    pub second: &'static Location<'static>,
}

impl Resource {
    /// Puts endpoints together by their paths, in the order of the first of each.
    ///
    /// # Errors
    ///
    /// When two of them answer the same method on the same path.
    pub fn group(endpoints: impl IntoIterator<Item = Endpoint>) -> Result<Vec<Self>, Conflict> {
        let mut resources: Vec<Self> = Vec::new();
        for endpoint in endpoints {
            match resources
                .iter_mut()
                .find(|known| *known.path() == endpoint.path)
            {
                Some(resource) => resource.add(endpoint)?,
                None => resources.push(Self {
                    endpoints: vec![endpoint],
                }),
            }
        }
        Ok(resources)
    }

    fn add(&mut self, endpoint: Endpoint) -> Result<(), Conflict> {
        for known in &self.endpoints {
            if let Some(method) = known.methods.overlap(endpoint.methods) {
                return Err(Conflict {
                    method: method.to_owned(),
                    path: endpoint.path.to_string(),
                    first: known.declared(),
                    second: endpoint.declared(),
                });
            }
        }
        self.endpoints.push(endpoint);
        Ok(())
    }

    /// The route's pattern: `/debug/bytes/{n}`.
    #[must_use]
    pub fn path(&self) -> &Cow<'static, str> {
        &self.endpoints[0].path
    }

    /// The methods that it answers, by name.
    #[must_use]
    pub fn methods(&self) -> Vec<&'static str> {
        let methods = self
            .endpoints
            .iter()
            .flat_map(|endpoint| endpoint.methods.names());
        methods.copied().collect()
    }

    /// The OpenAPI path item: the operations of all of its endpoints.
    ///
    /// # Errors
    ///
    /// When the documentation of an endpoint is no JSON object.
    pub fn openapi(&self) -> serde_json::Result<Value> {
        let mut operations = Map::new();
        for endpoint in &self.endpoints {
            operations.extend(serde_json::from_str::<Map<String, Value>>(
                endpoint.openapi(),
            )?);
        }
        Ok(Value::Object(operations))
    }

    /// Registers the endpoints, the 405 of their path, and the guard around them.
    pub(crate) fn mount(&self, cfg: &mut web::ServiceConfig, request_timeout: &Timeout) {
        let allowed = self.methods();
        let mut resource = web::resource(self.path().as_ref());
        for endpoint in &self.endpoints {
            resource = resource.route(endpoint.route());
        }
        cfg.service(
            resource
                .default_service(web::to(move || {
                    let allowed = allowed.clone();
                    async move { Problem::method_not_allowed(&allowed) }
                }))
                .wrap(Guard::new(request_timeout.clone())),
        );
    }
}

impl Methods {
    /// A method that both answer.
    fn overlap(self, other: Self) -> Option<&'static str> {
        match (self, other) {
            (Self::Any, Self::Any) => Some("any method"),
            (Self::Any, Self::Only(names)) | (Self::Only(names), Self::Any) => {
                names.first().copied()
            }
            (Self::Only(ours), Self::Only(theirs)) => {
                ours.iter().find(|name| theirs.contains(name)).copied()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::{
        App, HttpResponse,
        http::{Method, StatusCode, header},
        test,
    };

    use super::*;
    use crate::{BuildInfo, Limits, configure, openapi::Document};

    const PUT: Methods = Methods::Only(&["PUT"]);

    fn endpoint(path: &'static str, methods: Methods, status: u16) -> Endpoint {
        const fn docs(status: u16) -> &'static str {
            match status {
                200 => r#"{ "get": { "responses": { "200": { "description": "a" } } } }"#,
                201 => r#"{ "post": { "responses": { "201": { "description": "b" } } } }"#,
                _ => "{}",
            }
        }
        let route = match status {
            200 => || web::to(HttpResponse::Ok),
            201 => || web::to(HttpResponse::Created),
            _ => || web::to(HttpResponse::NoContent),
        };
        Endpoint::new(path, methods, route, docs(status))
    }

    #[actix_web::test]
    async fn each_method_of_a_path_has_its_own_endpoint() {
        let resources = Resource::group([
            endpoint("/orders", Methods::GET, 200),
            endpoint("/other", Methods::GET, 200),
            endpoint("/orders", Methods::POST, 201),
        ])
        .unwrap();
        assert_eq!(resources.len(), 2);
        let document = resources[0].openapi().unwrap();
        assert!(document["get"].is_object() && document["post"].is_object());

        let info = BuildInfo {
            app: String::new(),
            version: String::new(),
            revision: String::new(),
            hostname: String::new(),
            env: String::new(),
            rustc: String::new(),
            message: String::new(),
        };
        let limits = Limits {
            max_body_bytes: 10,
            body_timeout: Timeout::new(std::time::Duration::from_secs(1)),
        };
        let document = web::Data::new(Document::new(&resources, &info).unwrap());
        let app = App::new().configure(|cfg| configure(cfg, &resources, &document, &limits));
        let app = test::init_service(app).await;
        for (method, status) in [
            (Method::GET, StatusCode::OK),
            (Method::HEAD, StatusCode::OK),
            (Method::POST, StatusCode::CREATED),
            (Method::DELETE, StatusCode::METHOD_NOT_ALLOWED),
        ] {
            let request = test::TestRequest::with_uri("/orders").method(method.clone());
            let answer = test::call_service(&app, request.to_request()).await;
            assert_eq!(answer.status(), status, "{method}");
            let allow = answer.headers().get(header::ALLOW);
            let expected = (method == Method::DELETE).then_some("GET, HEAD, POST");
            assert_eq!(allow.map(|allow| allow.to_str().unwrap()), expected);
        }
    }

    #[::core::prelude::v1::test]
    fn two_endpoints_for_one_method_and_path_are_named() {
        for (first, second, method) in [
            (Methods::GET, Methods::GET, "GET"),
            (Methods::GET, Methods::Only(&["HEAD", "PUT"]), "HEAD"),
            (Methods::Any, PUT, "PUT"),
            (Methods::Any, Methods::Any, "any method"),
        ] {
            let conflict = Resource::group([
                Endpoint::new("/a", first, || web::to(HttpResponse::Ok), "{}"),
                Endpoint::new("/b", PUT, || web::to(HttpResponse::Ok), "{}"),
                Endpoint::new("/a", second, || web::to(HttpResponse::Ok), "{}"),
            ])
            .unwrap_err();
            assert_eq!(
                (conflict.method.as_str(), conflict.path.as_str()),
                (method, "/a")
            );
            assert_eq!(conflict.first.line() + 2, conflict.second.line());
            assert!(conflict.to_string().contains("resource.rs:"));
        }
    }
}
