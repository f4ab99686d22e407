//! Routes for trying out meshes, alerts, timeouts and drains.
//!
//! Off by default, and never on in production: they let any client hold a connection, fail at will
//! and read the headers that a proxy adds.

use std::{
    collections::BTreeMap,
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
    get,
    http::{StatusCode, header},
    post,
    rt::time::sleep,
    web::{self, Bytes},
};
use berth_kit_http::{
    NO_STORE, Problem, RequestContext, ServiceConfig,
    duration::{Text, compact, parse},
};
use futures_util::{Stream, StreamExt as _, stream};
use serde::Serialize;
use serde_json::json;
use utoipa::{OpenApi, ToSchema};

/// Mounts the debug routes.
pub fn routes(cfg: &mut ServiceConfig<'_>) {
    cfg.service(delay)
        .service(block)
        .service(zeros)
        .service(echo)
        .service(headers)
        .service(panic)
        // Whatever the method is.
        .resource(
            "/debug/status/{code}",
            |resource| resource.to(status),
            Docs::openapi(),
        );
}

#[derive(OpenApi)]
#[openapi(paths(status))]
struct Docs;

/// The longest delay that may be asked for.
const MAX_DELAY: Duration = Duration::from_mins(1);

/// The longest time that a worker may be asked to stand still.
const MAX_BLOCK: Duration = Duration::from_secs(10);

/// The most bytes that may be asked for: 64 MiB.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

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

/// Raw bytes.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[allow(dead_code, reason = "it is here for its documentation")]
struct Binary(Vec<u8>);

/// How long it was.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Waited {
    #[schema(examples("250ms"))]
    waited: String,
}

/// Wait, then say for how long
///
/// At most 1m.
#[utoipa::path(
    operation_id = "debugDelay",
    params(("duration" = inline(Text), Path)),
    responses(
        (status = 200, description = "How long it was", body = Waited),
        (status = 400, response = Problem),
        (status = 503, response = Problem),
    )
)]
#[get("/debug/delay/{duration}")]
async fn delay(path: web::Path<String>) -> Result<impl Responder, Problem> {
    let asked = asked(&path, MAX_DELAY)?;
    let start = Instant::now();
    sleep(asked).await;
    Ok(waited(start))
}

/// Hold a worker, then say for how long
///
/// As a handler does that computes or waits without `await`: nobody else whom this worker serves is answered
/// meanwhile. At most 10s.
#[utoipa::path(
    operation_id = "debugBlock",
    params(("duration" = inline(Text), Path)),
    responses(
        (status = 200, description = "How long it was", body = Waited),
        (status = 400, response = Problem),
        (status = 503, response = Problem),
    )
)]
#[get("/debug/block/{duration}")]
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
    HttpResponse::Ok().insert_header(NO_STORE).json(Waited {
        waited: compact(waited),
    })
}

/// Answer with a status
///
/// Whatever the method is.
#[utoipa::path(
    method(get, post, put, patch, delete, options),
    path = "/debug/status/{code}",
    operation_id = "debugStatus",
    params(("code" = u16, Path, minimum = 200, maximum = 599)),
    responses(
        (status = "2XX", description = "The status that was asked for"),
        (status = "3XX", description = "The status that was asked for"),
        (status = "4XX", response = Problem),
        (status = "5XX", response = Problem),
    )
)]
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

/// So many zero bytes
#[utoipa::path(
    operation_id = "debugBytes",
    params(("n" = u64, Path, maximum = 67_108_864)),
    responses(
        (status = 200, description = "The bytes", body = Binary, content_type = "application/octet-stream"),
        (status = 400, response = Problem),
    )
)]
#[get("/debug/bytes/{n}")]
async fn zeros(path: web::Path<String>) -> Result<HttpResponse, Problem> {
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

/// The body, sent back as it arrives
///
/// The answer starts with the first piece of the body, and with all that has arrived along with it,
/// so whatever is wrong with it until then still gets its true status. What goes wrong later can
/// only break the answer off.
#[utoipa::path(
    operation_id = "debugEcho",
    request_body(content = Option<Binary>, content_type = "application/octet-stream"),
    responses(
        (status = 200, description = "The body", body = Binary, content_type = "application/octet-stream"),
        (status = 400, response = Problem),
        (status = 408, response = Problem),
        (status = 413, response = Problem),
    )
)]
#[post("/debug/echo")]
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

/// A request as this server saw it.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Seen {
    method: String,
    target: String,
    version: String,
    /// The address of the client, or of the proxy before it
    client: Option<String>,
    /// The address of the client, also behind proxies that are trusted
    client_ip: Option<String>,
    /// All values of each header, secrets masked
    headers: BTreeMap<String, Vec<String>>,
}

/// The request as this server saw it
#[utoipa::path(
    operation_id = "debugHeaders",
    responses((status = 200, description = "The request", body = Seen))
)]
#[get("/debug/headers")]
async fn headers(req: HttpRequest, request: RequestContext) -> impl Responder {
    let mut seen: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (name, value) in req.headers() {
        let value = if SECRET_HEADERS.contains(name) {
            "********".into()
        } else {
            String::from_utf8_lossy(value.as_bytes()).into_owned()
        };
        seen.entry(name.to_string()).or_default().push(value);
    }
    HttpResponse::Ok().insert_header(NO_STORE).json(Seen {
        method: req.method().to_string(),
        target: req.uri().to_string(),
        version: format!("{:?}", req.version()),
        client: req.peer_addr().map(|addr| addr.to_string()),
        client_ip: request.client_ip().map(|ip| ip.to_string()),
        headers: seen,
    })
}

/// Panic
///
/// The client gets a 500, the process lives.
#[utoipa::path(operation_id = "debugPanic", responses((status = 500, response = Problem)))]
#[get("/debug/panic")]
async fn panic() -> HttpResponse {
    panic!("asked for by GET /debug/panic")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is documented of a limit is what is held to.
    #[test]
    fn the_document_is_true() {
        let document = serde_json::to_value(<__path_zeros as utoipa::Path>::operation()).unwrap();
        assert_eq!(document["parameters"][0]["schema"]["maximum"], MAX_BYTES);
    }
}
