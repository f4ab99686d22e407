//! Routes for trying out meshes, alerts, timeouts and drains.
//!
//! Off by default, and never on in production: they let any client hold a connection, fail at will
//! and read the headers that a proxy adds.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::LazyLock,
    task::Poll,
    time::{Duration, Instant},
};

use actix_web::{
    HttpRequest, HttpResponse, Responder,
    body::SizedStream,
    error::PayloadError,
    http::{StatusCode, header},
    rt::time::sleep,
    web::{self, Bytes},
};
use futures_util::{Stream, StreamExt as _, stream};
use serde_json::{Map, Value, json};

use berth_kit_http::{
    Endpoint, Methods, NO_STORE, Problem,
    duration::{compact, parse},
};

/// The debug routes.
pub const ENDPOINTS: [Endpoint; 7] = [
    Endpoint::new(
        "/debug/delay/{duration}",
        Methods::GET,
        || web::to(delay),
        include_str!("../openapi/debug-delay.json"),
    ),
    Endpoint::new(
        "/debug/block/{duration}",
        Methods::GET,
        || web::to(block),
        include_str!("../openapi/debug-block.json"),
    ),
    Endpoint::new(
        "/debug/status/{code}",
        Methods::Any,
        || web::to(status),
        include_str!("../openapi/debug-status.json"),
    ),
    Endpoint::new(
        "/debug/bytes/{n}",
        Methods::GET,
        || web::to(bytes),
        include_str!("../openapi/debug-bytes.json"),
    ),
    Endpoint::new(
        "/debug/echo",
        Methods::POST,
        || web::to(echo),
        include_str!("../openapi/debug-echo.json"),
    ),
    Endpoint::new(
        "/debug/headers",
        Methods::GET,
        || web::to(headers),
        include_str!("../openapi/debug-headers.json"),
    ),
    Endpoint::new(
        "/debug/panic",
        Methods::GET,
        || web::to(panic),
        include_str!("../openapi/debug-panic.json"),
    ),
];

/// The longest delay that may be asked for.
const MAX_DELAY: Duration = Duration::from_mins(1);

/// The longest time that a worker may be asked to stand still.
const MAX_BLOCK: Duration = Duration::from_secs(10);

/// The most bytes that may be asked for: 64 MiB.
pub const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// How much of a body `/debug/echo` takes before it starts to answer, in bytes.
const MAX_READ_AHEAD: usize = 64 * 1024;

/// How much `/debug/bytes` sends at a time, in bytes.
const CHUNK: usize = 64 * 1024;

/// What it sends again and again. (Made when it is needed; a constant would be in the binary.)
static ZEROS: LazyLock<Bytes> = LazyLock::new(|| vec![0; CHUNK].into());

/// Request headers whose value is a secret.
const SECRET_HEADERS: [header::HeaderName; 3] = [
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    header::COOKIE,
];

/// `GET /debug/delay/{duration}`: waits, then says how long it did.
async fn delay(path: web::Path<String>) -> Result<impl Responder, Problem> {
    let asked = asked(&path, MAX_DELAY)?;
    let start = Instant::now();
    sleep(asked).await;
    Ok(waited(start))
}

/// `GET /debug/block/{duration}`: holds its worker for so long, as a handler does that computes or
/// waits without `await`. Nobody else whom this worker serves is answered meanwhile.
async fn block(path: web::Path<String>) -> Result<impl Responder, Problem> {
    let asked = asked(&path, MAX_BLOCK)?;
    let start = Instant::now();
    std::thread::sleep(asked);
    Ok(waited(start))
}

fn asked(text: &str, limit: Duration) -> Result<Duration, Problem> {
    parse(text).filter(|asked| *asked <= limit).ok_or_else(|| {
        Problem::bad_request(format!(
            "a delay is written as 250ms or 3s and is at most {}",
            compact(limit)
        ))
    })
}

fn waited(start: Instant) -> HttpResponse {
    let waited = Duration::from_millis(u64::try_from(start.elapsed().as_millis()).unwrap_or(0));
    HttpResponse::Ok()
        .insert_header(NO_STORE)
        .json(json!({ "waited": compact(waited) }))
}

/// `ANY /debug/status/{code}`: answers with that status.
async fn status(path: web::Path<String>) -> Result<HttpResponse, Problem> {
    let status = path
        .parse::<u16>()
        .ok()
        .filter(|code| (200..=599).contains(code))
        .and_then(|code| StatusCode::from_u16(code).ok())
        .ok_or_else(|| Problem::bad_request("a status is a number from 200 to 599"))?;
    if status.is_client_error() || status.is_server_error() {
        return Err(Problem::new(status, "this status was asked for"));
    }
    let mut response = HttpResponse::build(status);
    response.insert_header(NO_STORE);
    // These have no body by definition; one would be taken for the start of the next response.
    Ok(match status {
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED => {
            response.finish()
        }
        _ => response.json(json!({ "status": status.as_u16() })),
    })
}

/// `GET /debug/bytes/{n}`: streams that many zero bytes.
async fn bytes(path: web::Path<String>) -> Result<HttpResponse, Problem> {
    let total = path
        .parse::<u64>()
        .ok()
        .filter(|n| *n <= MAX_BYTES)
        .ok_or_else(|| {
            Problem::bad_request(format!("a size is a number of bytes, at most {MAX_BYTES}"))
        })?;
    let chunks = stream::unfold(total, |left| async move {
        let size = left.min(CHUNK as u64);
        let chunk = ZEROS.slice(..usize::try_from(size).ok()?);
        (size > 0).then_some((Ok::<_, actix_web::Error>(chunk), left - size))
    });
    Ok(HttpResponse::Ok()
        .insert_header(NO_STORE)
        .insert_header((header::CONTENT_TYPE, "application/octet-stream"))
        .body(SizedStream::new(total, Box::pin(chunks))))
}

/// `POST /debug/echo`: streams the body back as it arrives.
///
/// The answer starts with the first piece of the body, and with all that has arrived along with it,
/// so whatever is wrong with it until then still gets its true status. What goes wrong later can
/// only break the answer off.
async fn echo(mut body: web::Payload) -> Result<HttpResponse, Problem> {
    let mut arrived = Vec::new();
    let mut bytes = 0;
    poll_fn(|cx| {
        while bytes < MAX_READ_AHEAD {
            match Pin::new(&mut body).poll_next(cx) {
                Poll::Ready(Some(Ok(piece))) => {
                    bytes += piece.len();
                    arrived.push(Ok::<_, PayloadError>(piece));
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(Problem::from(&error))),
                Poll::Pending if arrived.is_empty() => return Poll::Pending,
                Poll::Pending | Poll::Ready(None) => break,
            }
        }
        Poll::Ready(Ok(()))
    })
    .await?;
    Ok(HttpResponse::Ok()
        .insert_header(NO_STORE)
        .insert_header((header::CONTENT_TYPE, "application/octet-stream"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .streaming(stream::iter(arrived).chain(body)))
}

/// `GET /debug/headers`: the request as this server saw it.
async fn headers(req: HttpRequest) -> impl Responder {
    let mut seen = Map::new();
    for (name, value) in req.headers() {
        let value = if SECRET_HEADERS.contains(name) {
            "********".into()
        } else {
            String::from_utf8_lossy(value.as_bytes())
        };
        let values = seen
            .entry(name.as_str())
            .or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(values) = values {
            values.push(value.into());
        }
    }
    HttpResponse::Ok().insert_header(NO_STORE).json(json!({
        "method": req.method().as_str(),
        "target": req.uri().to_string(),
        "version": format!("{:?}", req.version()),
        "client": req.peer_addr().map(|addr| addr.to_string()),
        "headers": seen,
    }))
}

/// `GET /debug/panic`: panics. The client gets a 500, the process lives.
async fn panic() -> HttpResponse {
    panic!("asked for by GET /debug/panic")
}
