use actix_web::{
    get,
    test::{self, TestRequest},
};
use berth_kit_http::RouteId;
use berth_kit_settings::{ServiceName, Sources, load};
use serde_json::Value;

use super::{
    contract::{info, public_routes},
    *,
};

#[utoipa::path(responses((status = 200)))]
#[get("/{path:.*}")]
async fn everything(path: web::Path<String>) -> String {
    path.into_inner()
}

#[utoipa::path(responses((status = 200)))]
#[get("/{kind}/{id}")]
async fn of_two_parts(path: web::Path<(String, String)>) -> String {
    path.into_inner().1
}

#[actix_web::test]
async fn a_route_for_every_path_leaves_the_probes_alone() {
    let own = || {
        Routes::new(|cfg| {
            cfg.service(of_two_parts).service(everything);
        })
    };
    let survey = own().survey().await.unwrap();
    let table = RouteTable::new(survey.routes, None);
    let mut settings = Settings::default();
    settings.debug.routes = true;
    let routes = public_routes(&settings, own(), |path| {
        table.find(path) != RouteId::UNMATCHED
    });
    // All of it can be reached.
    routes.survey().await.unwrap();
    let app = App::new()
        .app_data(web::Data::new(Health::new(Vec::new())))
        .configure(|app| routes.mount(app));
    let app = test::init_service(app).await;
    let debug = if cfg!(feature = "devtools") { 204 } else { 200 };
    for (path, status) in [
        ("/health", 200),
        ("/ready", 503),
        ("/ready/x", 404),
        ("/debug/status/204", debug),
        ("/any/thing", 200),
        ("/any", 200),
    ] {
        let request = TestRequest::get().uri(path).to_request();
        let answer = test::call_service(&app, request).await;
        assert_eq!(answer.status(), status, "{path}");
    }
}

/// Nor is what the kit serves behind a scope for every path, and the document of both needs no service.
#[actix_web::test]
async fn a_scope_for_every_path_leaves_the_probes_alone() {
    let build = Build {
        name: ServiceName::new("shop"),
        version: "1",
        revision: "",
        rustc: "",
    };
    let loaded = load(&Sources::new(build.name, build.version)).unwrap();
    let own = Routes::new(|cfg| {
        cfg.service(berth_kit_http::scope("").service(of_two_parts));
    });
    let Contract { routes, .. } = Contract::new(build, &loaded, own.clone()).await.unwrap();
    let app = App::new()
        .app_data(web::Data::new(Health::new(Vec::new())))
        .configure(|app| routes.mount(app));
    let app = test::init_service(app).await;
    for (path, status) in [("/health", 200), ("/any/thing", 200), ("/any", 404)] {
        let request = TestRequest::get().uri(path).to_request();
        let answer = test::call_service(&app, request).await;
        assert_eq!(answer.status(), status, "{path}");
    }
    let document = openapi(build, own.clone(), &[]).await.unwrap();
    assert_eq!(document["info"]["title"], "shop");
    for path in ["/health", "/{kind}/{id}"] {
        assert!(document["paths"][path].is_object(), "{document:#}");
    }
    let environment = [("SHOP__METRICS__PATH", "relative")];
    assert!(openapi(build, own, &environment).await.is_err());
}

/// A route for every path has none of its own; what begins with a literal has.
#[test]
fn metrics_have_no_path_of_the_services_own() {
    for (pattern, path, is_free) in [
        ("/{path:.*}", "/metrics", true),
        ("/{kind}/{id}", "/a/metrics", true),
        ("/metrics", "/metrics", false),
        ("/items/{id}", "/items/metrics", false),
        ("/items/{id}", "/items/7/metrics", true),
        ("/files/{path:.*}", "/files/a/metrics", false),
    ] {
        let mut sources = Sources::new(ServiceName::new("shop"), "1");
        let path = ("SHOP__METRICS__PATH".into(), path.into());
        sources.environment.push(path);
        let loaded = load(&sources).unwrap();
        let table = RouteTable::of([pattern, "/{everything:.*}"]);
        let answer = metrics_path::beside_the_service(&loaded, &table);
        assert_eq!(answer.is_ok(), is_free, "{pattern}");
    }
}

/// Each route of the kit, on either port.
#[actix_web::test]
async fn every_route_of_the_kit_is_documented() {
    let mut settings = Settings::default();
    settings.debug.routes = true;
    settings.app.name = "a \"b\"".to_owned();
    let private = crate::management::shown(&settings);
    for routes in [
        public_routes(&settings, Routes::default(), |_| false),
        private,
    ] {
        let survey = routes.survey().await.unwrap();
        assert_eq!(survey.undocumented(), [""; 0]);
        let build = Build {
            name: ServiceName::new("shop"),
            version: "1",
            revision: "",
            rustc: "",
        };
        let document = Document::new(&survey, &info(build, &settings)).unwrap();
        let document: Value = serde_json::from_slice(document.bytes()).unwrap();
        assert_eq!(document["info"]["title"], "a \"b\"");
    }
}
