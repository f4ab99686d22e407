use actix_web::{HttpResponse, Responder, delete, get, post};
use serde::Serialize;
use utoipa::ToSchema;

use super::*;
use crate::scope;

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
        cfg.service(scope("/orders").service(list).service(create))
            .service(cancel)
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
    let plain = conflict(|cfg| {
        cfg.actix(|app| {
            app.route("/plain", web::put().to(plain))
                .route("/plain", web::put().to(plain));
        });
    });
    let path = "/plain".to_owned();
    assert_eq!(plain.await, Conflict::Unreachable { path });
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

#[actix_web::test]
async fn two_types_of_one_name_are_refused() {
    let schema = conflict(|cfg| {
        cfg.service(scope("/orders").service(list)).service(others);
    });
    let name = "Order".to_owned();
    assert_eq!(schema.await, Conflict::Schema { name });
}
