//! Actix's own ways to mount handlers, with their documentation collected along the way.

use std::fmt;

use actix_web::{
    Error,
    body::MessageBody,
    dev::{
        AppService, HttpServiceFactory, ServiceFactory, ServiceRequest, ServiceResponse, Transform,
    },
    guard::Guard,
    web,
};
use utoipa::openapi::{
    OpenApi, RefOr, Schema,
    path::{HttpMethod, Operation, PathItem, Paths},
};
use utoipa_actix_web::OpenApiFactory;

use crate::groups::{self, Pending};

/// What handlers are mounted on; as actix's own [`web::ServiceConfig`], but that it takes what is documented.
pub struct ServiceConfig<'a> {
    app: &'a mut web::ServiceConfig,
    documented: &'a mut Documented,
    pending: Vec<Pending>,
}

impl fmt::Debug for ServiceConfig<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceConfig").finish_non_exhaustive()
    }
}

impl<'a> ServiceConfig<'a> {
    /// Has `mount` mount things on `app`.
    pub(crate) fn with(
        app: &'a mut web::ServiceConfig,
        documented: &'a mut Documented,
        mount: impl FnOnce(&mut ServiceConfig<'_>),
    ) {
        let mut cfg = ServiceConfig {
            app,
            documented,
            pending: Vec::new(),
        };
        mount(&mut cfg);
        groups::mount(cfg.app, cfg.pending);
    }

    /// Mounts a handler with an attribute macro (`#[get("/orders")]` below `#[utoipa::path]`), or a [`scope`].
    pub fn service(&mut self, service: impl Mount + 'static) -> &mut Self {
        let mut documented = Documented::default();
        service.document(&mut documented);
        self.mount(service, documented)
    }

    /// Mounts what has no attribute macro, such as a `web::resource` with `web::get().to(…)`, and its documentation:
    /// that of a type with `#[derive(utoipa::OpenApi)]`.
    ///
    /// ```
    /// use actix_web::{Responder, web};
    /// use berth_kit_http::Routes;
    /// use utoipa::OpenApi;
    ///
    /// /// Greets
    /// #[utoipa::path(get, path = "/hello", responses((status = 200, body = String)))]
    /// async fn hello() -> impl Responder {
    ///     "Hello!"
    /// }
    ///
    /// #[derive(OpenApi)]
    /// #[openapi(paths(hello))]
    /// struct Hello;
    ///
    /// let routes = Routes::new(|cfg| {
    ///     let resource = web::resource("/hello").route(web::get().to(hello));
    ///     cfg.service_with(resource, Hello::openapi());
    /// });
    /// ```
    pub fn service_with(
        &mut self,
        service: impl HttpServiceFactory + 'static,
        openapi: OpenApi,
    ) -> &mut Self {
        let mut documented = Documented::default();
        documented.add(openapi);
        self.mount(service, documented)
    }

    /// Adds documentation, of what [`actix`](Self::actix) mounts.
    pub fn openapi(&mut self, openapi: OpenApi) -> &mut Self {
        self.documented.add(openapi);
        self
    }

    /// Mounts in all of actix's own ways, without documentation.
    pub fn actix(&mut self, mount: impl FnOnce(&mut web::ServiceConfig) + 'static) -> &mut Self {
        self.pending.push(Pending {
            literal: None,
            is_dynamic: true,
            mount: Box::new(mount),
        });
        self
    }

    fn mount(
        &mut self,
        service: impl HttpServiceFactory + 'static,
        documented: Documented,
    ) -> &mut Self {
        let paths = || documented.operations.iter().map(|known| &*known.path);
        self.pending.push(Pending {
            literal: groups::literal(paths()),
            is_dynamic: paths().any(|path| path.contains('{')),
            mount: Box::new(|app| {
                app.service(service);
            }),
        });
        self.documented.operations.extend(documented.operations);
        self.documented.schemas.extend(documented.schemas);
        self
    }

    /// State for the handlers that are mounted here, as actix has it.
    pub fn app_data<T: 'static>(&mut self, data: T) -> &mut Self {
        self.app.app_data(data);
        self
    }

    /// Mounts what `mount` does.
    pub fn configure(&mut self, mount: impl FnOnce(&mut ServiceConfig<'_>)) -> &mut Self {
        mount(self);
        self
    }
}

/// What can be mounted, and says how it is documented: handlers with an attribute macro, and scopes.
pub trait Mount: HttpServiceFactory {
    /// Adds its documentation.
    fn document(&self, documented: &mut Documented);
}

impl<T: HttpServiceFactory + OpenApiFactory> Mount for T {
    fn document(&self, documented: &mut Documented) {
        documented.add_paths(self.paths());
        self.schemas(&mut documented.schemas);
    }
}

/// The documentation of what is mounted.
#[derive(Default)]
pub struct Documented {
    pub(crate) operations: Vec<Documentation>,
    pub(crate) schemas: Vec<(String, RefOr<Schema>)>,
}

/// The documentation of one method of one path.
#[derive(Clone)]
pub(crate) struct Documentation {
    pub(crate) path: String,
    pub(crate) method: HttpMethod,
    pub(crate) operation: Operation,
}

impl fmt::Debug for Documented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.operations.iter().map(|known| &known.path))
            .finish()
    }
}

impl Documented {
    fn add(&mut self, openapi: OpenApi) {
        self.add_paths(openapi.paths);
        if let Some(components) = openapi.components {
            self.schemas.extend(components.schemas);
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
}

/// Every method that a path item has.
pub(crate) fn operations(item: PathItem) -> impl Iterator<Item = (HttpMethod, Operation)> {
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

/// As actix's own [`web::scope`], with what it holds documented.
///
/// ```
/// use actix_web::{HttpResponse, Responder, get};
/// use berth_kit_http::scope;
///
/// #[utoipa::path(responses((status = 200, body = [String])))]
/// #[get("")]
/// async fn list() -> impl Responder {
///     HttpResponse::Ok().json(["nut"])
/// }
///
/// let orders = scope("/api/v1/orders").service(list);
/// ```
pub fn scope(
    path: &str,
) -> Scope<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse,
        Error = Error,
        InitError = (),
    > + use<>,
> {
    Scope {
        inner: web::scope(path),
        prefix: path.trim_end_matches('/').to_owned(),
        documented: Documented::default(),
    }
}

/// Made by [`scope`].
#[must_use = "a scope does nothing until it is mounted"]
pub struct Scope<T> {
    inner: actix_web::Scope<T>,
    prefix: String,
    documented: Documented,
}

impl<T> fmt::Debug for Scope<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("prefix", &self.prefix)
            .field("documented", &self.documented)
            .finish_non_exhaustive()
    }
}

impl<T> Scope<T>
where
    T: ServiceFactory<ServiceRequest, Config = (), Error = Error, InitError = ()>,
{
    fn map<U>(self, map: impl FnOnce(actix_web::Scope<T>) -> actix_web::Scope<U>) -> Scope<U> {
        Scope {
            inner: map(self.inner),
            prefix: self.prefix,
            documented: self.documented,
        }
    }

    /// As [`ServiceConfig::service`].
    pub fn service(mut self, service: impl Mount + 'static) -> Self {
        service.document(&mut self.documented);
        self.map(|scope| scope.service(service))
    }

    /// Mounts what `mount` does.
    pub fn configure(self, mount: impl FnOnce(&mut ServiceConfig<'_>)) -> Self {
        let Self {
            inner,
            prefix,
            mut documented,
        } = self;
        let inner = inner.configure(|app| ServiceConfig::with(app, &mut documented, mount));
        Self {
            inner,
            prefix,
            documented,
        }
    }

    /// State for the handlers in it.
    pub fn app_data<D: 'static>(self, data: D) -> Self {
        self.map(|scope| scope.app_data(data))
    }

    /// Only for requests that `guard` holds for.
    pub fn guard(self, guard: impl Guard + 'static) -> Self {
        self.map(|scope| scope.guard(guard))
    }

    /// Middleware around all in it.
    pub fn wrap<M, B>(
        self,
        middleware: M,
    ) -> Scope<
        impl ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<B>,
            Error = Error,
            InitError = (),
        >,
    >
    where
        M: Transform<
                T::Service,
                ServiceRequest,
                Response = ServiceResponse<B>,
                Error = Error,
                InitError = (),
            > + 'static,
        B: MessageBody,
    {
        self.map(|scope| scope.wrap(middleware))
    }
}

impl<T, B> HttpServiceFactory for Scope<T>
where
    T: ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<B>,
            Error = Error,
            InitError = (),
        > + 'static,
    B: MessageBody + 'static,
{
    fn register(self, config: &mut AppService) {
        self.inner.register(config);
    }
}

impl<T> Mount for Scope<T>
where
    Self: HttpServiceFactory,
{
    fn document(&self, documented: &mut Documented) {
        let inner = self.documented.operations.iter();
        documented
            .operations
            .extend(inner.map(|known| Documentation {
                path: format!("{}{}", self.prefix, known.path),
                ..known.clone()
            }));
        let schemas = self.documented.schemas.iter().cloned();
        documented.schemas.extend(schemas);
    }
}
