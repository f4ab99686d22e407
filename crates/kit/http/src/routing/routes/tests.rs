use actix_web::{
    HttpResponse, Responder, delete, get, guard::Header, http::StatusCode, post, test,
};
use serde::Serialize;
use utoipa::ToSchema;

use actix_web::Resource;
use utoipa::openapi::OpenApi;

use super::*;
use crate::{Mount, scope};

#[derive(Serialize, ToSchema)]
struct Order {
    id: u32,
}

mod elsewhere {
    #[derive(serde::Serialize, utoipa::ToSchema)]
    pub(super) struct Order {
        name: String,
    }
}

#[utoipa::path(responses((status = 200, body = [Order])))]
#[get("")]
async fn list() -> impl Responder {
    HttpResponse::Ok().json([Order { id: 1 }])
}

#[utoipa::path(responses((status = 201)))]
#[post("")]
async fn create() -> impl Responder {
    HttpResponse::Created()
}

#[utoipa::path(responses((status = 201)))]
#[post("/orders")]
async fn create_too() -> impl Responder {
    HttpResponse::Created()
}

#[utoipa::path(responses((status = 204)))]
#[delete("/orders/{id:\\d+}")]
async fn cancel(id: web::Path<u32>) -> impl Responder {
    let _ = id;
    HttpResponse::NoContent()
}

#[utoipa::path(responses((status = 200, body = elsewhere::Order)))]
#[get("/others")]
async fn others() -> impl Responder {
    HttpResponse::Ok()
}

async fn plain() -> impl Responder {
    HttpResponse::Ok()
}

async fn conflict(mount: impl Fn(&mut ServiceConfig<'_>) + Send + Sync + 'static) -> Conflict {
    Routes::new(mount).survey().await.unwrap_err()
}

#[actix_web::test]
async fn a_survey_finds_what_is_mounted_however_it_is() {
    let routes = Routes::new(|cfg| {
        cfg.service(cancel)
            .service(scope("/orders").service(list).service(create))
            .actix(|app| {
                app.route("/plain", web::put().to(plain))
                    .service(web::resource("/any").to(plain));
            });
    });
    let survey = routes.survey().await.unwrap();
    let found: Vec<_> = survey
        .routes
        .iter()
        .map(|route| format!("{} {}", route.methods.join(" "), route.pattern))
        .collect();
    let expected = [
        " /any",
        "GET POST /orders",
        "DELETE /orders/{id:\\d+}",
        "PUT /plain",
    ];
    assert_eq!(found, expected);
    assert_eq!(survey.undocumented(), ["any method /any", "PUT /plain"]);
}

#[actix_web::test]
async fn two_handlers_for_one_method_and_path_are_refused_with_their_names() {
    let twice = conflict(|cfg| {
        cfg.service(scope("/orders").service(list).service(create))
            .service(create_too);
    });
    assert_eq!(
        twice.await.to_string(),
        "POST /orders is declared twice, by create and by create_too; give one of them another path or method"
    );
    let in_one_scope = conflict(|cfg| {
        cfg.service(scope("/orders").service(list).service(list));
    });
    assert!(in_one_scope.await.to_string().starts_with("GET /orders is"));
}

/// Nobody knows the handlers' names: the places in this file stand for them.
#[actix_web::test]
async fn two_undocumented_handlers_for_one_method_and_path_are_refused_with_their_places() {
    let line = line!();
    let twice = conflict(|cfg| {
        cfg.actix(|app| _ = app.route("/other", web::put().to(plain)))
            .actix(|app| _ = app.route("/plain", web::put().to(plain)))
            .service(create_too)
            .actix(|app| _ = app.route("/plain", web::put().to(plain)));
    });
    let Conflict::Unreachable { path, places } = twice.await else {
        panic!("another conflict");
    };
    let expected = [line + 3, line + 5].map(|line| format!("{}:{line}:14", file!()));
    assert_eq!((path.as_str(), places), ("/plain", expected.to_vec()));

    let line = line!();
    let in_one_place = conflict(|cfg| {
        cfg.actix(|app| {
            app.route("/plain", web::put().to(plain))
                .route("/plain", web::put().to(plain));
        });
    });
    let text = in_one_place.await.to_string();
    let place = format!("; it is mounted at {}:{}:13", file!(), line + 2);
    assert!(
        text.contains("at /plain is never") && text.ends_with(&place),
        "{text}"
    );

    // One of them is documented.
    let line = line!();
    let either = conflict(|cfg| {
        cfg.service(create_too)
            .actix(|app| _ = app.route("/orders", web::post().to(plain)));
    });
    let text = either.await.to_string();
    for line in [line + 2, line + 3] {
        assert!(text.contains(&format!("{}:{line}:", file!())), "{text}");
    }
}

#[utoipa::path(path = "/elsewhere", responses((status = 200)))]
#[get("/here")]
async fn misplaced() -> impl Responder {
    HttpResponse::Ok()
}

#[actix_web::test]
async fn documentation_of_what_is_not_there_is_refused() {
    let lies = conflict(|cfg| {
        cfg.service(misplaced);
    });
    let text = lies.await.to_string();
    assert!(text.contains("misplaced is for GET /elsewhere"), "{text}");
}

#[utoipa::path(responses((status = 200)))]
#[get("/orders/{id}")]
async fn show(id: web::Path<String>) -> impl Responder {
    id.into_inner()
}

#[utoipa::path(responses((status = 200)))]
#[get("/orders/export")]
async fn export() -> impl Responder {
    HttpResponse::Ok()
}

#[utoipa::path(responses((status = 201)))]
#[post("/orders/import")]
async fn import() -> impl Responder {
    HttpResponse::Created()
}

#[actix_web::test]
async fn a_handler_that_is_never_reached_is_refused() {
    let shadowed = conflict(|cfg| {
        cfg.service(show).service(import).service(export);
    });
    let text = shadowed.await.to_string();
    assert!(
        text.starts_with("GET /orders/export is never reached, since /orders/{id},"),
        "{text}"
    );
    let in_order = Routes::new(|cfg| {
        cfg.service(export).service(show).service(import);
    });
    assert!(in_order.survey().await.is_ok());
}

#[utoipa::path(responses((status = 200)))]
#[get("/orders/{name:[a-z-]+}")]
async fn named(name: web::Path<String>) -> impl Responder {
    name.into_inner()
}

#[actix_web::test]
async fn what_some_values_alone_take_is_left_for_the_others() {
    let routes = Routes::new(|cfg| {
        cfg.service(named).service(show);
    });
    assert!(routes.survey().await.is_ok(), "{:?}", routes.survey().await);
}

#[utoipa::path(responses((status = 200)))]
#[get("/{kind}/export")]
async fn export_of(kind: web::Path<String>) -> impl Responder {
    kind.into_inner()
}

fn in_v1(cfg: &mut ServiceConfig<'_>, orders: impl Mount + 'static) {
    cfg.service(scope("/v1").service(orders).service(export));
}

fn raw_export(cfg: &mut ServiceConfig<'_>) {
    raw_at(cfg, "/orders/export");
}

fn raw_at(cfg: &mut ServiceConfig<'_>, path: &'static str) {
    cfg.actix(move |app| _ = app.route(path, web::get().to(plain)));
}

/// What is refused is what actix does not reach, and nothing else.
#[actix_web::test]
async fn what_a_scope_before_it_takes_is_refused() {
    type Mounts = fn(&mut ServiceConfig<'_>);
    let flat = "/orders/export";
    let in_scope = "/v1/orders/export";
    let cases: [(&str, bool, Mounts); 25] = [
        (flat, false, |cfg| {
            cfg.service(scope("/orders").service(list)).service(export);
        }),
        (flat, true, |cfg| {
            cfg.service(export).service(scope("/orders").service(list));
        }),
        // As actix has it: what such a scope begins with ends in two slashes.
        (flat, true, |cfg| {
            cfg.service(scope("/orders/").configure(|cfg| raw_at(cfg, "/x")))
                .service(export);
        }),
        (flat, true, |cfg| {
            cfg.service(scope("/").configure(|cfg| raw_at(cfg, "/x")))
                .service(export);
        }),
        (flat, true, |cfg| {
            cfg.service(scope("/order").service(list)).service(export);
        }),
        // With a guard, what it does not hold for is free.
        (flat, true, |cfg| {
            let beta = scope("/orders").guard(Header("x-beta", "1"));
            cfg.service(beta.service(list)).service(export);
        }),
        (flat, true, |cfg| {
            let beta = scope("").guard(Header("x-beta", "1"));
            cfg.service(beta.service(import))
                .service(export)
                .service(scope("/orders").service(list));
        }),
        (flat, false, |cfg| {
            cfg.service(scope("").service(others)).service(export);
        }),
        (flat, true, |cfg| {
            cfg.service(export).service(scope("").service(others));
        }),
        // Parameters.
        (flat, false, |cfg| {
            cfg.service(scope("/{kind}").service(list)).service(export);
        }),
        (flat, false, |cfg| {
            cfg.service(scope("/orders/{id}").service(create))
                .service(export);
        }),
        (flat, true, |cfg| {
            cfg.service(scope("/{kind:\\d+}").service(list))
                .service(export);
        }),
        (flat, true, |cfg| {
            cfg.service(scope("/{kind}/of").service(list))
                .service(export);
        }),
        ("/1/export", true, |cfg| {
            cfg.service(scope("/orders").service(list))
                .service(export_of);
        }),
        ("/1/export", true, |cfg| {
            cfg.service(scope("/{kind:[a-z-]+}").service(list))
                .service(export_of);
        }),
        ("/1/export", false, |cfg| {
            cfg.service(scope("/{of}").service(list)).service(export_of);
        }),
        // In another scope.
        (in_scope, false, |cfg| {
            in_v1(cfg, scope("/orders").service(list));
        }),
        (in_scope, true, |cfg| {
            let beta = scope("/orders").guard(Header("x-beta", "1"));
            in_v1(cfg, beta.service(list));
        }),
        (in_scope, true, |cfg| {
            let beta = scope("/v1").guard(Header("x-beta", "1"));
            cfg.service(beta.service(scope("/orders").service(list)))
                .service(scope("/v1").service(export));
        }),
        // Two of one name.
        (in_scope, false, |cfg| {
            cfg.service(scope("/v1").service(others))
                .service(scope("/v1").service(export));
        }),
        // In actix's own ways.
        (flat, false, |cfg| {
            cfg.service(scope("/orders").service(list));
            raw_export(cfg);
        }),
        (flat, true, |cfg| {
            raw_export(cfg);
            cfg.service(scope("/orders").service(list));
        }),
        (in_scope, true, |cfg| {
            cfg.service(scope("/v1").configure(raw_export));
        }),
        (in_scope, false, |cfg| {
            cfg.service(scope("/v1").service(others));
            cfg.service(scope("/v1").configure(raw_export));
        }),
        (flat, false, |cfg| {
            let build = |resource: Resource| resource.route(web::get().to(plain));
            cfg.service(scope("/orders").service(list));
            cfg.resource("/orders/export", build, OpenApi::default());
        }),
    ];
    for (number, (path, is_reached, mount)) in cases.into_iter().enumerate() {
        let routes = Routes::new(mount);
        let app = App::new().configure(|app| routes.mount(app));
        let app = test::init_service(app).await;
        let request = test::TestRequest::get().uri(path).to_request();
        let answer = test::call_service(&app, request).await;
        let is_ok = answer.status() == StatusCode::OK;
        assert_eq!(is_ok, is_reached, "actix, {number}: {path}");
        let refused = routes.survey().await.err();
        let as_such = matches!(refused, Some(Conflict::BehindScope { .. }));
        assert_eq!(as_such, !is_reached, "{number}: {path}: {refused:?}");
        assert_eq!(refused.is_none(), is_reached, "{number}: {refused:?}");
    }
}

#[actix_web::test]
async fn what_is_behind_a_scope_is_told_with_what_to_do() {
    let behind = conflict(|cfg| {
        in_v1(cfg, scope("/orders").service(list));
    });
    assert_eq!(
        behind.await.to_string(),
        "/v1/orders/export is never reached, since the scope \"/v1/orders\", which is mounted before it, answers \
         whatever is below it; put it into that scope, or mount it before"
    );
}

#[actix_web::test]
async fn two_types_of_one_name_are_refused() {
    let schema = conflict(|cfg| {
        cfg.service(scope("/orders").service(list)).service(others);
    });
    let name = "Order".to_owned();
    assert_eq!(schema.await, Conflict::Schema { name });
}

#[actix_web::test]
async fn a_route_that_is_never_to_be_shed_has_to_be_there() {
    let routes = Routes::new(|cfg| {
        cfg.service(scope("/api").service(cancel));
    });
    let there = routes.clone().never_shed("/api/orders/{id:\\d+}");
    assert_eq!(there.survey().await.unwrap().routes.len(), 1);
    assert_eq!(there.exempt(), ["/api/orders/{id:\\d+}"]);
    let conflict = routes.merge(Routes::default().never_shed("/orders"));
    let conflict = conflict.survey().await.unwrap_err();
    assert!(
        conflict
            .to_string()
            .starts_with("never_shed names /orders,"),
        "{conflict}"
    );
}
