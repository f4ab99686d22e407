//! Every bad request has its true status, and is told what is wrong.

use crate::process::Berth;

#[test]
fn twenty_bad_requests() {
    let server = Berth::start(&[]);
    let long = "x".repeat(65);
    let cases: Vec<(&str, String, u16, &str)> = vec![
        ("GET", "/api/v1/hello?name=".into(), 400, "1 to 64"),
        ("GET", format!("/api/v1/hello?name={long}"), 400, "has 65"),
        ("GET", "/api/v1/hello?name=a%0Ab".into(), 400, "control"),
        ("GET", "/api/v1/hello?name=%00".into(), 400, "control"),
        ("GET", "/api/v1/hello?name=%7F".into(), 400, "control"),
        ("GET", "/api/v1/hello?name=%C2%85".into(), 400, "control"),
        ("GET", "/api/v1/hello?name=%".into(), 400, "percent"),
        ("GET", "/api/v1/hello?name=%4".into(), 400, "percent"),
        ("GET", "/api/v1/hello?name=%zz".into(), 400, "percent"),
        ("GET", "/api/v1/hello?x=%zz".into(), 400, "percent"),
        ("GET", "/api/v1/hello?name=%FF".into(), 400, "UTF-8"),
        ("GET", "/api/v1/hello?name=a&name=b".into(), 400, "once"),
        ("GET", "/".into(), 404, "nothing"),
        ("GET", "/nowhere".into(), 404, "nothing"),
        ("GET", "/api/v1/hello/".into(), 404, "nothing"),
        ("GET", "/%zz".into(), 404, "nothing"),
        ("GET", "/debug/panic".into(), 404, "nothing"),
        ("POST", "/health".into(), 405, "GET, HEAD"),
        ("DELETE", "/api/v1/hello".into(), 405, "GET, HEAD"),
        ("BREW", "/ready".into(), 405, "GET, HEAD"),
        ("OPTIONS", "/metrics".into(), 405, "GET, HEAD"),
        ("GET", format!("/{}", "x".repeat(8192)), 414, "8192"),
        (
            "GET",
            format!("/health?{}", "x".repeat(60_000)),
            414,
            "8192",
        ),
    ];
    for (method, target, status, says) in cases {
        let response = server.client().request(method, &target, "");
        let detail = response.assert_problem(status);
        assert!(detail.contains(says), "{method} {target:.40}: {detail}");
        let allow = (status == 405).then_some("GET, HEAD");
        assert_eq!(response.header("allow"), allow);
    }
}

#[test]
fn what_is_not_http_gets_a_4xx_and_a_close() {
    let server = Berth::start(&[]);
    for (bytes, status) in [
        ("NOT HTTP\r\n\r\n".to_owned(), 400),
        ("GET /health HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET /health HTTP/1.1\r\nHost: t\r\nBad Header: x\r\n\r\n".to_owned(), 400),
        ("GET /health HTTP/1.1\r\nHost: t\r\nContent-Length: x\r\n\r\n".to_owned(), 400),
        (
            "POST /health HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
            400,
        ),
        (format!("GET /health HTTP/1.1\r\nHost: t\r\n{}\r\n", "A: b\r\n".repeat(100)), 431),
        (format!("GET /health HTTP/1.1\r\nHost: t\r\nA: {}\r\n\r\n", "x".repeat(140_000)), 431),
    ] {
        let mut client = server.client();
        // The server may close before the last byte is out.
        let _ = client.try_send(&bytes);
        let response = client.read();
        assert_eq!(response.status, status, "{bytes:.80}");
        assert!(client.is_closed());
    }
    assert_eq!(server.get("/health").status, 200);
}
