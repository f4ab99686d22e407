//! What holds whatever a handler does, and which route a request is counted under.

#![allow(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix_web::{
    App, HttpMessage as _, HttpResponse, Responder, delete,
    dev::ServiceRequest,
    get,
    http::{StatusCode, header},
    post,
    rt::time::{sleep, timeout},
    test::{self, TestRequest},
    web,
};
use berth_kit_http::{
    Boundary, Limits, Observe, Observed, Outcome, Problem, RequestContext, RouteLimits, RouteTable,
    Routes, ServiceConfig, ShedReason, Shedding, Timeout, TrustedProxies, configure,
};
use berth_kit_memory::{Budget, Limit};
use futures_util::StreamExt as _;

/// Remembers under which route, and with which status, each request has ended.
#[derive(Clone, Default)]
struct Ended(Rc<RefCell<Vec<(String, u16)>>>);

impl Observe for Ended {
    type Record = ();

    fn begin(&self, (): &mut (), _: &ServiceRequest) {}

    fn end(&self, (): &mut (), request: &RequestContext, outcome: &Outcome) {
        let ended = (request.route().to_owned(), outcome.status_code());
        self.0.borrow_mut().push(ended);
    }
}

/// The answer to `request` where this is mounted, and how it was counted.
async fn ask(
    mount: impl Fn(&mut ServiceConfig<'_>) + Send + Sync + 'static,
    request: TestRequest,
) -> (HttpResponse<web::Bytes>, (String, u16)) {
    ask_with(None, mount, request).await
}

async fn ask_with(
    shedding: Option<Shedding>,
    mount: impl Fn(&mut ServiceConfig<'_>) + Send + Sync + 'static,
    request: TestRequest,
) -> (HttpResponse<web::Bytes>, (String, u16)) {
    let routes = Routes::new(mount);
    let table = RouteTable::new(routes.survey().await.unwrap().routes, None);
    let table = Arc::new(table);
    let limits = Limits {
        shedding,
        max_body_bytes: 10,
        timeout: Timeout::new(Duration::from_millis(200)),
    };
    let ended = Ended::default();
    let app = App::new()
        .configure(configure)
        .configure(|app| routes.mount(app))
        .wrap(Boundary::new(limits, Arc::clone(&table)))
        .wrap(Observed::new(
            ended.clone(),
            table,
            TrustedProxies::default(),
        ));
    let app = test::init_service(app).await;
    let mut request = request.to_request();
    if request.headers().contains_key(header::TRANSFER_ENCODING) {
        // It has been added with the payload.
        request.headers_mut().remove(header::CONTENT_LENGTH);
    }
    let answer = match test::try_call_service(&app, request).await {
        Ok(answer) => answer.into_parts().1.map_into_boxed_body(),
        Err(error) => error.error_response(),
    };
    let (head, body) = answer.into_parts();
    let body = actix_web::body::to_bytes(body).await.unwrap();
    let counted = ended.0.borrow_mut().pop().unwrap();
    (head.set_body(body), counted)
}

#[utoipa::path(responses((status = 200)))]
#[get("/{kind}/{id}")]
async fn general(path: web::Path<(String, String)>) -> impl Responder {
    if path.1 == "logged" {
        // Which route it is, is asked for while it is handled.
        let _ = RequestContext::current().map(|request| request.route().to_owned());
    }
    HttpResponse::Ok()
}

#[utoipa::path(responses((status = 200)))]
#[post("/orders/{id}")]
async fn of_another_method(id: web::Path<String>) -> impl Responder {
    id.into_inner()
}

#[actix_web::test]
async fn the_route_that_has_answered_is_the_one_that_is_counted() {
    let mount = |cfg: &mut ServiceConfig<'_>| {
        cfg.service(general).service(of_another_method);
    };
    for request in [
        TestRequest::get().uri("/orders/1"),
        TestRequest::get().uri("/orders/logged"),
        TestRequest::default()
            .method(actix_web::http::Method::HEAD)
            .uri("/orders/1"),
    ] {
        let (_, counted) = ask(mount, request).await;
        assert_eq!(counted, ("/{kind}/{id}".to_owned(), 200));
    }
}

#[utoipa::path(responses((status = 409)))]
#[post("/impatient")]
async fn impatient(mut body: web::Payload) -> HttpResponse {
    let _ = timeout(Duration::from_millis(20), body.next()).await;
    HttpResponse::Conflict().json("its own")
}

#[utoipa::path(responses((status = 204)))]
#[post("/stubborn", wrap = "RouteLimits::new().max_body(5)")]
async fn stubborn(mut body: web::Payload) -> HttpResponse {
    // Whether or not there is an error.
    while body.next().await.is_some() {}
    HttpResponse::NoContent().finish()
}

#[utoipa::path(responses((status = 405)))]
#[post("/read-only")]
async fn read_only() -> impl Responder {
    HttpResponse::MethodNotAllowed()
        .insert_header((header::ALLOW, "GET"))
        .finish()
}

#[utoipa::path(responses((status = 429)))]
#[get("/limited")]
async fn limited() -> Result<HttpResponse, Problem> {
    sleep(Duration::from_millis(1)).await;
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "later")
        .with_header((header::CACHE_CONTROL, "max-age=60"))
        .with_header((header::CONTENT_TYPE, "text/plain"))
        .with_member("left", 0);
    Err(problem)
}

#[utoipa::path(responses((status = 204)))]
#[delete("/{kind}/new")]
async fn remove(kind: web::Path<String>) -> impl Responder {
    let _ = kind;
    HttpResponse::NoContent()
}

fn odd_ones(cfg: &mut ServiceConfig<'_>) {
    cfg.service(impatient)
        .service(stubborn)
        .service(read_only)
        .service(limited)
        .service(general)
        .service(remove);
}

#[actix_web::test]
async fn a_handler_that_does_not_wait_for_its_body_has_an_answer_of_its_own() {
    // A body that never comes.
    let request = TestRequest::post()
        .uri("/impatient")
        .insert_header((header::CONTENT_LENGTH, 5))
        .set_payload("");
    let (answer, _) = ask(odd_ones, request).await;
    assert_eq!(answer.status(), 409);
    assert_eq!(answer.body(), "\"its own\"");
}

#[actix_web::test]
async fn a_body_that_has_failed_comes_to_an_end() {
    let request = TestRequest::post()
        .uri("/stubborn")
        .insert_header((header::TRANSFER_ENCODING, "chunked"))
        .set_payload("123456");
    let (answer, _) = ask(odd_ones, request).await;
    assert_eq!(answer.status(), 204);
}

#[actix_web::test]
async fn what_an_answer_says_itself_stays() {
    let (answer, _) = ask(odd_ones, TestRequest::post().uri("/read-only")).await;
    assert_eq!(answer.status(), 405);
    assert_eq!(answer.headers().get(header::ALLOW).unwrap(), "GET");

    let (answer, _) = ask(odd_ones, TestRequest::get().uri("/limited")).await;
    let values = |name| answer.headers().get_all(name).cloned().collect::<Vec<_>>();
    assert_eq!(values(header::CACHE_CONTROL), ["max-age=60"]);
    assert_eq!(values(header::CONTENT_TYPE), ["application/problem+json"]);
    assert!(
        answer.body().ends_with(b",\"left\":0}"),
        "{:?}",
        answer.body()
    );
}

#[actix_web::test]
async fn every_method_of_a_path_is_allowed_whichever_route_has_it() {
    let (answer, counted) = ask(odd_ones, TestRequest::put().uri("/orders/new")).await;
    assert_eq!(answer.status(), 405);
    assert_eq!(
        answer.headers().get(header::ALLOW).unwrap(),
        "DELETE, GET, HEAD"
    );
    assert_eq!(counted.1, 405);
    let (answer, counted) = ask(odd_ones, TestRequest::put().uri("/nothing")).await;
    assert_eq!(answer.status(), 404);
    assert_eq!(counted, ("unmatched".to_owned(), 404));
}

/// For a process that uses more than it may, but for one route; and how many requests were refused.
fn without_memory(exempt: &str) -> (Option<Shedding>, Arc<AtomicUsize>) {
    let refused = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&refused);
    let budget = Budget::new(Limit::Bytes(1)).map(Arc::new);
    // Its first look is as old as it is.
    std::thread::sleep(Duration::from_millis(10));
    let shedding = Shedding::new([exempt.to_owned()], move |reason| {
        assert_eq!(reason, ShedReason::Memory);
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let shedding = budget.map(|budget| shedding.memory(Some(budget)));
    (shedding, refused)
}

#[actix_web::test]
async fn a_request_that_there_is_no_memory_for_is_a_503() {
    let mount = |cfg: &mut ServiceConfig<'_>| {
        cfg.service(general);
    };
    let (shedding, refused) = without_memory("/health");
    let request = TestRequest::get().uri("/orders/1");
    let (answer, counted) = ask_with(shedding, mount, request).await;
    assert_eq!(counted, ("/{kind}/{id}".to_owned(), 503));
    assert_eq!(answer.headers().get(header::RETRY_AFTER).unwrap(), "1");
    let body = std::str::from_utf8(answer.body()).unwrap();
    assert!(body.contains("short of memory"), "{body}");
    assert_eq!(refused.load(Ordering::Relaxed), 1);

    let (shedding, refused) = without_memory("/{kind}/{id}");
    let request = TestRequest::get().uri("/orders/1");
    let (answer, _) = ask_with(shedding, mount, request).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(refused.load(Ordering::Relaxed), 0);
}
