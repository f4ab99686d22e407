use actix_web::test::TestRequest;

use super::*;

fn request(id: &str) -> RequestContext {
    let req = TestRequest::get()
        .uri("/a/7")
        .insert_header((X_REQUEST_ID, id))
        .insert_header((TRACEPARENT, format!("00-{:032x}-{:016x}-01", 5, 6)))
        .to_srv_request();
    let table = RouteTable::of(["/a/{id}", "/b"]);
    RequestContext::new(&req, &Arc::new(table), &TrustedProxies::default())
}

fn seen() -> Option<String> {
    RequestContext::with_current(|request| request.map(|request| request.id().to_owned()))
}

#[actix_web::test]
async fn each_future_sees_its_own_request_and_nobody_elses() {
    assert_eq!(seen(), None);
    let (a, b) = (request("a"), request("b"));
    let in_a = a.enter();
    let child = in_request(async {
        let before = seen();
        actix_web::rt::task::yield_now().await;
        (before, seen())
    });
    let in_b = b.enter();
    assert_eq!(seen().as_deref(), Some("b"));
    drop(in_b);
    assert_eq!(seen().as_deref(), Some("a"));
    drop(in_a);
    assert_eq!(seen(), None);
    let child = actix_web::rt::spawn(child);
    let of_a = || Some("a".to_owned());
    assert_eq!(child.await.unwrap(), (of_a(), of_a()));
    assert_eq!(seen(), None);
}

#[actix_web::test]
async fn a_panic_leaves_nothing_behind() {
    let a = request("a");
    let entered = a.enter();
    let child = in_request(async { panic!("oh") });
    drop(entered);
    assert!(actix_web::rt::spawn(child).await.is_err());
    assert_eq!(seen(), None);
}

#[test]
fn another_thread_and_another_service_are_told_of_it() {
    let a = request("a");
    let on_thread = std::thread::spawn({
        let a = a.clone();
        move || (a.run(seen), seen())
    });
    assert_eq!(on_thread.join().unwrap(), (Some("a".to_owned()), None));
    let headers: Vec<_> = a.outbound_headers().collect();
    assert_eq!(headers[0], ("x-request-id", "a".to_owned()));
    assert_eq!(headers[1].0, "traceparent");
    assert!(headers[1].1.starts_with(&format!("00-{:032x}-", 5)));
    assert_eq!(a.trace_id(), Some(format!("{:032x}", 5).as_str()));
    assert_eq!(a.route(), "/a/{id}");
}
