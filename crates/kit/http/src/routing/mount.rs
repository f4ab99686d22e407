//! Actix's own ways to mount handlers, with their documentation collected along the way.

use std::{fmt, panic::Location};

use actix_web::{Resource, dev::HttpServiceFactory, web};
use utoipa::openapi::OpenApi;
use utoipa_actix_web::OpenApiFactory;

use super::{
    documented::Documented,
    groups::{Pending, literal},
};

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

    /// Mounts a handler with an attribute macro (`#[get("/orders")]` below `#[utoipa::path]`), or a
    /// [`scope`](super::scope::scope).
    #[track_caller]
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
    #[track_caller]
    pub fn resource<R: HttpServiceFactory + 'static>(
        &mut self,
        path: &str,
        build: impl FnOnce(Resource) -> R,
        openapi: OpenApi,
    ) -> &mut Self {
        self.documented.mount_at(path);
        self.documented.add(openapi);
        self.mount(Some(literal(path)), build(web::resource(path)))
    }

    /// Adds documentation, of what [`actix`](Self::actix) mounts; also responses and security schemes that others refer to.
    pub fn openapi(&mut self, openapi: OpenApi) -> &mut Self {
        self.documented.add(openapi);
        self
    }

    /// Mounts in all of actix's own ways, without documentation.
    #[track_caller]
    pub fn actix(&mut self, mount: impl FnOnce(&mut web::ServiceConfig) + 'static) -> &mut Self {
        self.documented.mount_somewhere();
        self.pending.push(Pending {
            place: Location::caller(),
            beginning: None,
            mount: Box::new(mount),
        });
        self
    }

    #[track_caller]
    fn mount(
        &mut self,
        beginning: Option<String>,
        service: impl HttpServiceFactory + 'static,
    ) -> &mut Self {
        self.pending.push(Pending {
            place: Location::caller(),
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
        documented.mount(self.paths());
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
