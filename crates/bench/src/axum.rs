//! The same answer by axum, with what a team would put around it: an id, a span and a line of JSON a
//! request, metrics for Prometheus, a timeout, and panics that are caught.

use std::{
    env, io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    Json, Router,
    body::Body,
    extract::{ConnectInfo, MatchedPath, Query, State},
    http::{HeaderName, Request, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
    serve::ListenerExt as _,
};
use axum_prometheus::PrometheusMetricLayer;
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, runtime};
use tower_http::{
    LatencyUnit,
    catch_panic::CatchPanicLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    timeout::TimeoutLayer,
    trace::{DefaultOnResponse, TraceLayer},
};
use tracing::{Level, Span, info_span};

#[derive(Deserialize)]
struct Asked {
    name: Option<String>,
}

#[derive(Serialize)]
struct Greeting<'a> {
    message: String,
    timestamp: String,
    pod: &'a str,
}

/// Serves until it is killed.
pub(crate) fn serve(port: u16, workers: usize) -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_span_list(false)
        .with_max_level(Level::INFO)
        .with_writer(io::stderr)
        .init();
    runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()?
        .block_on(async {
            let listener = TcpListener::bind(("127.0.0.1", port))
                .await?
                .tap_io(|connection| {
                    // Whoever is there without it is served more slowly, and no less rightly.
                    let _ = connection.set_nodelay(true);
                });
            let app = app().into_make_service_with_connect_info::<SocketAddr>();
            Ok(axum::serve(listener, app).await?)
        })
}

/// The handler and what is around it.
fn app() -> Router {
    let pod = env::var("HOSTNAME").unwrap_or_else(|_| "bench".to_owned());
    let (metrics, exposition) = PrometheusMetricLayer::pair();
    // The last one is the outermost.
    Router::new()
        .route("/api/v1/hello", get(hello))
        .route("/metrics", get(|| async move { exposition.render() }))
        .with_state(Arc::from(pod))
        .layer(CatchPanicLayer::new())
        .layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            Duration::from_secs(30),
        ))
        .layer(metrics)
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(
            TraceLayer::new_for_http().make_span_with(span).on_response(
                DefaultOnResponse::new()
                    .level(Level::INFO)
                    .latency_unit(LatencyUnit::Micros),
            ),
        )
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
}

async fn hello(State(pod): State<Arc<str>>, Query(asked): Query<Asked>) -> Response {
    let name = asked.name.as_deref().unwrap_or("CloudNative");
    let greeting = Greeting {
        message: format!("Hello, {name}!"),
        timestamp: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
        pod: &pod,
    };
    ([(header::CACHE_CONTROL, "no-store")], Json(greeting)).into_response()
}

/// What Berth's own line has of the request.
fn span(request: &Request<Body>) -> Span {
    let text = |name| {
        let value = request.headers().get(name)?;
        value.to_str().ok()
    };
    let extensions = request.extensions();
    info_span!(
        "request",
        method = request.method().as_str(),
        route = extensions.get::<MatchedPath>().map(MatchedPath::as_str),
        path = request.uri().path(),
        client_ip = extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|from| tracing::field::display(from.0.ip())),
        request_id = text(HeaderName::from_static("x-request-id")),
        trace_id =
            text(HeaderName::from_static("traceparent")).and_then(|parent| parent.get(3..35)),
        user_agent = text(header::USER_AGENT),
    )
}
