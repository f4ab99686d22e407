//! Scopes, with what they hold documented.

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

use super::{
    documented::Documented,
    groups::literal,
    mount::{Mount, ServiceConfig},
};

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
        path: path.to_owned(),
        is_guarded: false,
        documented: Documented::default(),
    }
}

/// Made by [`scope`].
#[must_use = "a scope does nothing until it is mounted"]
pub struct Scope<T> {
    inner: actix_web::Scope<T>,
    path: String,
    is_guarded: bool,
    documented: Documented,
}

impl<T> fmt::Debug for Scope<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("path", &self.path)
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
            path: self.path,
            is_guarded: self.is_guarded,
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
            path,
            is_guarded,
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
            path,
            is_guarded,
            documented,
        }
    }

    /// State for the handlers in it.
    pub fn app_data<D: 'static>(self, data: D) -> Self {
        self.map(|scope| scope.app_data(data))
    }

    /// Only for requests that `guard` holds for.
    pub fn guard(mut self, guard: impl Guard + 'static) -> Self {
        self.is_guarded = true;
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
        documented.mount_scope(&self.path, self.is_guarded, &self.documented);
    }

    fn beginning(&self) -> Option<String> {
        // Whatever is below it comes to it, whether it answers or not.
        Some(literal(self.path.trim_end_matches('/')))
    }
}
