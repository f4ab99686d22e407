//! What a service mounts, and what is known of it once it is mounted.

use std::{fmt, sync::Arc};

use actix_web::{App, web};

use super::{
    documented::Documented,
    groups::{self, Pending},
    mount::ServiceConfig,
    survey::{Conflict, Survey, see},
};

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
    never_shed: Vec<String>,
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

    /// Takes on requests of the route with this pattern, of any method, whatever else there is to do, and also where
    /// memory runs short: for what is quick and should not have to be tried again, such as the message that something
    /// has been paid. Where two patterns hold for a path, it is that with the longer literal beginning that counts.
    ///
    /// ```
    /// # use berth_kit_http::Routes;
    /// let routes = Routes::new(|cfg| {
    ///     // …
    /// });
    /// let routes = routes.never_shed("/api/v1/payments/{id}");
    /// ```
    pub fn never_shed(mut self, pattern: impl Into<String>) -> Self {
        self.never_shed.push(pattern.into());
        self
    }

    /// The patterns of the routes whose requests are always taken on.
    #[must_use]
    pub fn exempt(&self) -> &[String] {
        &self.never_shed
    }

    /// With the routes and the state of `others`, after these.
    pub fn merge(mut self, others: Self) -> Self {
        self.mounting.extend(others.mounting);
        self.never_shed.extend(others.never_shed);
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
    /// When two handlers answer the same method on the same path, one of them is never reached, two types that are
    /// documented have one name, or a route that is never to be shed is not there.
    pub async fn survey(&self) -> Result<Survey, Conflict> {
        let mut documented = Documented::default();
        let seen = see(|app| {
            let pending = self.collect(app, &mut documented);
            groups::mount(app, pending, false);
        });
        let seen = seen.await;
        let survey = Survey::new(documented, seen, async |path| self.places(path).await).await?;
        let is_there =
            |pattern: &&String| survey.routes.iter().any(|route| route.pattern == **pattern);
        match self.never_shed.iter().find(|pattern| !is_there(pattern)) {
            None => Ok(survey),
            Some(pattern) => Err(Conflict::NoSuchRoute {
                pattern: pattern.clone(),
            }),
        }
    }

    /// Where in the code what is mounted at this path was given to be mounted.
    async fn places(&self, path: &str) -> Vec<String> {
        let mut all = Vec::new();
        let _ = App::new().configure(|app| all = self.collect(app, &mut Documented::default()));
        let mut places = Vec::new();
        for Pending { place, mount, .. } in all {
            let seen = see(mount).await;
            if seen.is_some_and(|seen| seen.has(path)) {
                places.push(place.to_string());
            }
        }
        places
    }
}

#[cfg(test)]
mod tests;
