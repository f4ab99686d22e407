//! Actix's own ways to mount handlers, with their documentation collected along the way.

use std::{collections::BTreeMap, fmt};

use actix_web::{
    Error, Resource,
    body::MessageBody,
    dev::{
        AppService, HttpServiceFactory, ServiceFactory, ServiceRequest, ServiceResponse, Transform,
    },
    guard::Guard,
    web,
};
use utoipa::openapi::{
    OpenApi, RefOr, Response, Schema,
    path::{HttpMethod, Operation, PathItem, Paths},
    security::SecurityScheme,
};
use utoipa_actix_web::OpenApiFactory;

use super::groups::{Pending, literal};

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
    /// Has `mount` mount things on `app`; gives what is still to be mounted there.
    pub(crate) fn collect(
        app: &'a mut web::ServiceConfig,
        documented: &'a mut Documented,
        mount: impl FnOnce(&mut ServiceConfig<'_>),
    ) -> Vec<Pending> {
        let mut cfg = ServiceConfig {
            app,
            documented,
            pending: Vec::new(),
        };
        mount(&mut cfg);
        cfg.pending
    }

    /// Mounts a handler with an attribute macro (`#[get("/orders")]` below `#[utoipa::path]`), or a [`scope`].
    pub fn service(&mut self, service: impl Mount + 'static) -> &mut Self {
        service.document(self.documented);
        let beginning = service.beginning();
        self.mount(beginning, service)
    }

    /// Mounts the resource at `path`, as `build` makes it, with its documentation: that of a type with
    /// `#[derive(utoipa::OpenApi)]`. For handlers that have no attribute macro.
    ///
    /// ```
    /// use actix_web::{Resource, Responder, web};
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
    ///     let build = |resource: Resource| resource.route(web::get().to(hello));
    ///     cfg.resource("/hello", build, Hello::openapi());
    /// });
    /// ```
    pub fn resource<R: HttpServiceFactory + 'static>(
        &mut self,
        path: &str,
        build: impl FnOnce(Resource) -> R,
        openapi: OpenApi,
    ) -> &mut Self {
        self.documented.add(openapi);
        self.mount(Some(literal(path)), build(web::resource(path)))
    }

    /// Adds documentation, of what [`actix`](Self::actix) mounts; also responses and security schemes that others refer to.
    pub fn openapi(&mut self, openapi: OpenApi) -> &mut Self {
        self.documented.add(openapi);
        self
    }

    /// Mounts in all of actix's own ways, without documentation.
    pub fn actix(&mut self, mount: impl FnOnce(&mut web::ServiceConfig) + 'static) -> &mut Self {
        self.pending.push(Pending {
            beginning: None,
            mount: Box::new(mount),
        });
        self
    }

    fn mount(
        &mut self,
        beginning: Option<String>,
        service: impl HttpServiceFactory + 'static,
    ) -> &mut Self {
        self.pending.push(Pending {
            beginning,
            mount: Box::new(|app| {
                app.service(service);
            }),
        });
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

    /// What every path that comes to it begins with, where that is known.
    fn beginning(&self) -> Option<String>;
}

impl<T: HttpServiceFactory + OpenApiFactory> Mount for T {
    fn document(&self, documented: &mut Documented) {
        documented.add_paths(self.paths());
        self.schemas(&mut documented.schemas);
    }

    fn beginning(&self) -> Option<String> {
        // An attribute macro has one path, which is documented from it.
        let paths = self.paths().paths;
        let mut paths = paths.keys();
        paths
            .next()
            .filter(|_| paths.next().is_none())
            .map(|path| literal(path))
    }
}

/// The documentation of what is mounted.
#[derive(Default)]
pub struct Documented {
    pub(crate) operations: Vec<Documentation>,
    pub(crate) schemas: Vec<(String, RefOr<Schema>)>,
    pub(crate) responses: BTreeMap<String, RefOr<Response>>,
    pub(crate) security: BTreeMap<String, RefOr<SecurityScheme>>,
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
        let inner = inner.configure(|app| {
            let pending = ServiceConfig::collect(app, &mut documented, mount);
            for one in pending {
                (one.mount)(app);
            }
        });
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
        let responses = self.documented.responses.clone();
        documented.responses.extend(responses);
        let security = self.documented.security.clone();
        documented.security.extend(security);
    }

    fn beginning(&self) -> Option<String> {
        // Whatever is below it comes to it, whether it answers or not.
        Some(literal(&self.prefix))
    }
}
