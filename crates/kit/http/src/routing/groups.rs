//! Routes in groups, where there are many.
//!
//! The router of actix tries one route after the other, and a pattern with a parameter costs half a microsecond. Where
//! a service has many, each request would pay for those of all the others. So routes whose paths begin alike are put
//! together, and these groups together once more, each behind a look at the beginning of the path. What a group
//! has, no other can have: which route answers stays as it was. `docs/decisions/routes.md` has the measurements.

use std::{mem, panic::Location};

use actix_web::{
    dev::Url,
    guard::{Guard, GuardContext},
    web,
};

/// So few routes are mounted as they are.
const FEW: usize = 16;

/// What is to be mounted.
pub(crate) struct Pending {
    /// Where in the code it was given to be mounted.
    pub(crate) place: &'static Location<'static>,
    /// What every path that comes to it begins with, where that is known.
    pub(crate) beginning: Option<String>,
    pub(crate) mount: MountOnce,
}

pub(crate) type MountOnce = Box<dyn FnOnce(&mut web::ServiceConfig)>;

/// Those whose paths begin with `root`, which no other group's do.
struct Group {
    root: String,
    mounts: Vec<MountOnce>,
}

/// Mounts all of it; in groups only where what is said of the beginnings is true.
pub(crate) fn mount(app: &mut web::ServiceConfig, pending: Vec<Pending>, is_true: bool) {
    let is_known = is_true && pending.iter().all(|one| one.beginning.is_some());
    if !is_known || pending.len() <= FEW {
        for one in pending {
            (one.mount)(app);
        }
        return;
    }
    let mut groups = groups(pending);
    let size = groups.len().isqrt().max(1);
    while !groups.is_empty() {
        let rest = groups.split_off(size.min(groups.len()));
        let some = mem::replace(&mut groups, rest);
        let roots = some.iter().map(|group| group.root.clone()).collect();
        let scope = web::scope("").guard(Beginnings(roots));
        app.service(scope.configure(|app| some.into_iter().for_each(|group| group.mount(app))));
    }
}

/// In the order of their roots, none of which begins with another. In a group, all are in the order that they were in.
fn groups(mut pending: Vec<Pending>) -> Vec<Group> {
    let mut roots: Vec<_> = pending
        .iter()
        .map(|one| one.beginning.clone().unwrap_or_default())
        .collect();
    roots.sort();
    // What begins with another comes right after it.
    roots.dedup_by(|one, before| one.starts_with(before.as_str()));
    let mut groups: Vec<_> = roots
        .into_iter()
        .map(|root| Group {
            root,
            mounts: Vec::new(),
        })
        .collect();
    for one in pending.drain(..) {
        let beginning = one.beginning.unwrap_or_default();
        let after = groups.partition_point(|group| group.root <= beginning);
        groups[after - 1].mounts.push(one.mount);
    }
    groups
}

impl Group {
    fn mount(self, app: &mut web::ServiceConfig) {
        let mounts = self.mounts;
        let scope = web::scope("").guard(Beginnings(vec![self.root]));
        app.service(scope.configure(|app| mounts.into_iter().for_each(|mount| mount(app))));
    }
}

/// Holds for paths that begin with one of these, of which none begins with another.
struct Beginnings(Vec<String>);

impl Beginnings {
    fn has(&self, path: &str) -> bool {
        let after = self.0.partition_point(|root| root.as_str() <= path);
        after > 0 && path.starts_with(&self.0[after - 1])
    }
}

impl Guard for Beginnings {
    fn check(&self, ctx: &GuardContext<'_>) -> bool {
        let uri = &ctx.head().uri;
        if uri.path().contains('%') {
            // As the router sees it.
            self.has(Url::new(uri.clone()).path())
        } else {
            self.has(uri.path())
        }
    }
}

/// A path up to its first parameter.
pub(crate) fn literal(path: &str) -> String {
    path.split('{').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use actix_web::{
        App, HttpResponse,
        test::{self, TestRequest},
    };

    use super::*;

    fn pending(beginning: &str, mount: impl FnOnce(&mut web::ServiceConfig) + 'static) -> Pending {
        Pending {
            place: Location::caller(),
            beginning: Some(literal(beginning)),
            mount: Box::new(mount),
        }
    }

    /// Resources that answer with their numbers, and scopes that do so for all that comes to them.
    fn routes() -> Vec<Pending> {
        let things = (0..40).flat_map(|n| {
            [
                format!("/api/v1/things{n}/{{id}}"),
                format!("/api/v1/things{n}"),
            ]
        });
        let others = [
            "/api/v1/things7/{id}/parts",
            "/api/v1/things8/new",
            "/",
            "/a",
            "/ab",
            "/a/{b}",
            "/files/{path:.*}",
            "/files/odd",
            "/é/{x}",
        ];
        let patterns = things.chain(others.map(str::to_owned));
        let mut routes: Vec<_> = patterns
            .enumerate()
            .map(|(number, pattern)| {
                pending(&pattern.clone(), move |app| {
                    let answer = move || async move { HttpResponse::Ok().body(number.to_string()) };
                    app.route(&pattern, web::get().to(answer));
                })
            })
            .collect();
        for (number, prefix) in ["/admin", "/shop", "/shop/v1", "/{tenant}/x"]
            .into_iter()
            .enumerate()
        {
            routes.push(pending(prefix, move |app| {
                let none = move || async move { HttpResponse::Gone().body(number.to_string()) };
                let scope =
                    web::scope(prefix).route("/stats", web::get().to(HttpResponse::Accepted));
                app.service(scope.default_service(web::to(none)));
            }));
        }
        routes
    }

    #[actix_web::test]
    async fn what_answers_is_the_same_in_groups_as_without() {
        let flat = |app: &mut web::ServiceConfig| {
            for one in routes() {
                (one.mount)(app);
            }
        };
        let flat = test::init_service(App::new().configure(flat)).await;
        let grouped = App::new().configure(|app| mount(app, routes(), true));
        let grouped = test::init_service(grouped).await;
        // Without what holds for every path, there are many groups.
        let several = |app: &mut web::ServiceConfig| {
            let mut routes = routes();
            routes.pop();
            routes.remove(82);
            mount(app, routes, true);
        };
        let several = test::init_service(App::new().configure(several)).await;
        for path in [
            "/api/v1/things7/1",
            "/api/v1/things7",
            "/api/v1/things7/",
            "/api/v1/things70/1",
            "/api/v1/things39/x",
            "/api/v1/things7/1/parts",
            "/api/v1/things7/1/others",
            "/api/v1/things8/new",
            "/api/v1/%74hings8/1",
            "/api/v1/things8%2F1",
            "/",
            "/a",
            "/ab",
            "/abc",
            "/a/c",
            "/files/a/b/c",
            "/files/odd",
            "/%C3%A9/1",
            "/nothing",
            "/admin",
            "/admin/stats",
            "/admin/other",
            "/administrators",
            "/shop/stats",
            "/shop/v1/stats",
            "/shop/v1/other",
        ] {
            let mut answers = Vec::new();
            for app in [&flat, &grouped, &several] {
                let request = TestRequest::get().uri(path).to_request();
                let answer = test::call_service(app, request).await;
                let pattern = answer.request().match_pattern();
                let status = answer.status();
                answers.push((status, pattern, test::read_body(answer).await));
            }
            assert_eq!(answers[0], answers[1], "{path}");
            if path != "/" {
                assert_eq!(answers[0], answers[2], "{path}");
            }
        }
    }
}
