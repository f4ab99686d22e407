//! The application of the tests.

use std::{io, sync::atomic::Ordering, thread, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    body::{BodyStream, SizedStream},
    http::{StatusCode, header},
    web,
};
use bytes::Bytes;
use futures_util::{
    StreamExt as _,
    future::{Either, select},
    stream,
};

use super::server::{Running, Seen, stop_signal};

pub(crate) fn all(config: &mut web::ServiceConfig) {
    config
        .route("/hello", web::to(hello))
        .route("/echo", web::to(echo))
        .route("/length", web::to(length))
        .route("/ignored", web::to(ignored))
        .route("/refused-by-length", web::to(refused_by_length))
        .route("/sized/{size}", web::to(sized))
        .route("/sized-stream", web::to(sized_stream))
        .route("/streamed/{size}", web::to(streamed))
        .route("/empty/{status}", web::to(empty))
        .route("/with-body/{status}", web::to(with_body))
        .route("/own-length", web::to(own_length))
        .route("/own-length-empty", web::to(own_length_empty))
        .route("/no-chunking/{said}", web::to(no_chunking))
        .route("/stream-with-lengths", web::to(stream_with_lengths))
        .route("/wrong-length", web::to(wrong_length))
        .route("/own-coding", web::to(own_coding))
        .route("/many-headers", web::to(many_headers))
        .route("/fails", web::to(fails))
        .route("/panics", web::to(panics))
        .route("/force-close", web::to(force_close))
        .route("/waits", web::to(waits))
        .route("/blocks", web::to(blocks))
        .route("/reads-one-piece", web::to(reads_one_piece))
        .route("/answers-early", web::to(answers_early))
        .route("/answers-while-reading", web::to(answers_while_reading))
        .route("/stream-until-gate", web::to(stream_until_gate))
        .route("/websocket", web::to(websocket))
        .route("/websocket-unread", web::to(websocket_unread))
        .route("/websocket-ends", web::to(websocket_ends))
        .route("/websocket-deaf", web::to(websocket_deaf))
        .route("/websocket-floods", web::to(websocket_floods))
        .route("/uppercase", web::to(uppercase))
        .route("/upgrade-fails", web::to(upgrade_fails))
        .route("/reads-before-switching", web::to(reads_before_switching))
        .route("/switches-unasked", web::to(switches_unasked));
}

/// What a body of so many bytes is made of.
pub(crate) fn pattern(size: usize) -> Vec<u8> {
    let mut pattern = b"0123456789abcdef".repeat(size.div_ceil(16));
    pattern.truncate(size);
    pattern
}

async fn hello() -> &'static str {
    "hello"
}

async fn echo(body: web::Bytes) -> HttpResponse {
    HttpResponse::Ok().body(body)
}

async fn length(body: web::Bytes) -> String {
    body.len().to_string()
}

async fn ignored() -> &'static str {
    "ignored"
}

async fn refused_by_length(request: HttpRequest) -> HttpResponse {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length: usize = length.unwrap().to_str().unwrap().parse().unwrap();
    if length > 10 {
        return HttpResponse::PayloadTooLarge().body("too large");
    }
    HttpResponse::Ok().finish()
}

async fn sized(size: web::Path<usize>) -> HttpResponse {
    HttpResponse::Ok().body(pattern(*size))
}

async fn sized_stream() -> HttpResponse {
    let pieces = stream::iter([Ok::<_, io::Error>(Bytes::from("hel")), Ok("lo".into())]);
    HttpResponse::Ok().body(SizedStream::new(5, pieces))
}

async fn streamed(size: web::Path<usize>) -> HttpResponse {
    let pieces: Vec<_> = pattern(*size)
        .chunks(16 * 1024)
        .map(|piece| Ok::<_, io::Error>(Bytes::copy_from_slice(piece)))
        .collect();
    HttpResponse::Ok().streaming(stream::iter(pieces))
}

fn response(status: u16) -> HttpResponseBuilder {
    HttpResponse::build(StatusCode::from_u16(status).unwrap())
}

async fn empty(status: web::Path<u16>) -> HttpResponse {
    response(*status).finish()
}

async fn with_body(status: web::Path<u16>) -> HttpResponse {
    response(*status).body("text")
}

/// What is sent to a HEAD or with a 304 in place of a body.
async fn own_length() -> HttpResponse {
    let mut response = HttpResponse::NotModified();
    response.insert_header((header::CONTENT_LENGTH, "1234"));
    response.body(actix_web::body::None::new())
}

async fn own_length_empty() -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CONTENT_LENGTH, "1234"));
    response.body(actix_web::body::None::new())
}

/// Five bytes, of whatever length is said.
async fn no_chunking(said: web::Path<u64>) -> HttpResponse {
    let pieces = stream::iter([Ok::<_, io::Error>(Bytes::from("hel")), Ok("lo".into())]);
    HttpResponse::Ok().no_chunking(*said).streaming(pieces)
}

/// Five bytes, with each length that is in the query.
async fn stream_with_lengths(request: HttpRequest) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    for length in request.query_string().split('&') {
        response.append_header((header::CONTENT_LENGTH, length));
    }
    let pieces = stream::iter([Ok::<_, io::Error>(Bytes::from("hello"))]);
    response.body(BodyStream::new(pieces))
}

async fn wrong_length() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_LENGTH, "3"))
        .body("hello")
}

async fn own_coding() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::TRANSFER_ENCODING, "gzip, chunked"))
        .body("hello")
}

async fn many_headers() -> HttpResponse {
    let mut response = HttpResponse::Ok();
    for number in 0..200 {
        response.append_header(("x-number", number.to_string()));
    }
    response.append_header(("x-last", &b"caf\xe9"[..]));
    response.finish()
}

/// The body fails after its beginning.
async fn fails(seen: web::Data<Seen>) -> HttpResponse {
    let rest = stream::once(async move {
        seen.gate().await;
        Err(io::Error::other("no more"))
    });
    let pieces = stream::iter([Ok(Bytes::from("beginning"))]).chain(rest);
    HttpResponse::Ok().streaming(Box::pin(pieces))
}

async fn panics(seen: web::Data<Seen>) -> HttpResponse {
    let _running = Running::new(&seen);
    panic!("as it should");
}

async fn force_close() -> HttpResponse {
    HttpResponse::Ok().force_close().body("closing")
}

async fn waits(seen: web::Data<Seen>) -> &'static str {
    let _running = Running::new(&seen);
    seen.gate().await;
    "waited"
}

/// Blocks the worker, as a handler should not.
async fn blocks(seen: web::Data<Seen>) -> &'static str {
    let _running = Running::new(&seen);
    while !seen.gate.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(5));
    }
    "blocked"
}

/// Reads the beginning of its body, then waits, then reads the rest.
async fn reads_one_piece(mut body: web::Payload, seen: web::Data<Seen>) -> String {
    let _running = Running::new(&seen);
    let mut bytes = body.next().await.unwrap().unwrap().len();
    seen.counted.store(bytes, Ordering::Relaxed);
    seen.gate().await;
    while let Some(piece) = body.next().await {
        bytes += piece.unwrap().len();
    }
    bytes.to_string()
}

/// Answers after the beginning of its body, and reads no more.
async fn answers_early(mut body: web::Payload) -> String {
    body.next().await.unwrap().unwrap().len().to_string()
}

/// Answers at once, and reads the body in a task of its own.
async fn answers_while_reading(mut body: web::Payload, seen: web::Data<Seen>) -> &'static str {
    actix_rt::spawn(async move {
        while let Some(Ok(piece)) = body.next().await {
            seen.counted.fetch_add(piece.len(), Ordering::Relaxed);
        }
        seen.ended.fetch_add(1, Ordering::Relaxed);
    });
    "reading"
}

/// A body that goes on until the gate opens.
async fn stream_until_gate(seen: web::Data<Seen>) -> HttpResponse {
    let running = Running::new(&seen);
    let end = stream::once(async move {
        seen.gate().await;
        drop(running);
        Ok(Bytes::from("end"))
    });
    let pieces = stream::iter([Ok::<_, io::Error>(Bytes::from("begun, "))]).chain(end);
    HttpResponse::Ok().streaming(Box::pin(pieces))
}

/// Sends each message back, and `stopping` when the server stops.
async fn websocket(
    request: HttpRequest,
    payload: web::Payload,
    seen: web::Data<Seen>,
) -> actix_web::Result<HttpResponse> {
    use actix_ws::Message;

    let stop = stop_signal(&request);
    let (answer, mut session, messages) = actix_ws::handle(&request, payload)?;
    let mut messages = messages.max_frame_size(4 << 20);
    let running = Running::new(&seen);
    actix_rt::spawn(async move {
        let _running = running;
        let mut stop = Box::pin(stop.requested());
        let mut told = false;
        loop {
            let message = if told {
                messages.recv().await
            } else {
                match select(stop.as_mut(), Box::pin(messages.recv())).await {
                    Either::Left(_) => {
                        told = true;
                        let _ = session.text("stopping").await;
                        continue;
                    }
                    Either::Right((message, _)) => message,
                }
            };
            let sent = match message {
                Some(Ok(Message::Text(text))) => session.text(text).await,
                Some(Ok(Message::Binary(bytes))) => session.binary(bytes).await,
                Some(Ok(Message::Ping(bytes))) => session.pong(&bytes).await,
                _ => break,
            };
            if sent.is_err() {
                break;
            }
        }
        let _ = session.close(None).await;
    });
    Ok(answer)
}

/// Reads nothing until the gate opens.
async fn websocket_unread(
    request: HttpRequest,
    payload: web::Payload,
    seen: web::Data<Seen>,
) -> actix_web::Result<HttpResponse> {
    let (answer, session, messages) = actix_ws::handle(&request, payload)?;
    let mut messages = messages.max_frame_size(4 << 20);
    let running = Running::new(&seen);
    actix_rt::spawn(async move {
        let _running = running;
        seen.gate().await;
        while let Some(Ok(_)) = messages.recv().await {
            seen.counted.fetch_add(1, Ordering::Relaxed);
        }
        let _ = session.close(None).await;
    });
    Ok(answer)
}

/// Ends after the first message.
async fn websocket_ends(
    request: HttpRequest,
    payload: web::Payload,
    seen: web::Data<Seen>,
) -> actix_web::Result<HttpResponse> {
    let (answer, mut session, mut messages) = actix_ws::handle(&request, payload)?;
    let running = Running::new(&seen);
    actix_rt::spawn(async move {
        let _running = running;
        let _ = messages.recv().await;
        let _ = session.text("bye").await;
        let _ = session.close(None).await;
    });
    Ok(answer)
}

/// Reads nothing, and says something once the gate opens.
async fn websocket_deaf(
    request: HttpRequest,
    payload: web::Payload,
    seen: web::Data<Seen>,
) -> actix_web::Result<HttpResponse> {
    let (answer, mut session, _) = actix_ws::handle(&request, payload)?;
    actix_rt::spawn(async move {
        seen.gate().await;
        let _ = session.text("heard nothing").await;
        let _ = session.close(None).await;
    });
    Ok(answer)
}

/// Sends pieces of 64 kB for as long as it can.
async fn websocket_floods(
    request: HttpRequest,
    payload: web::Payload,
    seen: web::Data<Seen>,
) -> actix_web::Result<HttpResponse> {
    let (answer, mut session, _messages) = actix_ws::handle(&request, payload)?;
    let running = Running::new(&seen);
    actix_rt::spawn(async move {
        let _running = running;
        let piece = Bytes::from(pattern(64 * 1024));
        while session.binary(piece.clone()).await.is_ok() {
            seen.counted.fetch_add(piece.len(), Ordering::Relaxed);
        }
    });
    Ok(answer)
}

/// Another protocol: what comes is sent back in capitals, until a NUL byte.
async fn uppercase(payload: web::Payload) -> HttpResponse {
    let pieces = payload
        .take_while(|piece| {
            let goes_on = !matches!(piece, Ok(piece) if piece.contains(&0));
            async move { goes_on }
        })
        .map(|piece| piece.map(|piece| Bytes::from(piece.to_ascii_uppercase())));
    HttpResponse::SwitchingProtocols()
        .upgrade("uppercase")
        .insert_header(("x-more", "there"))
        .streaming(pieces)
}

/// Another protocol whose output fails once something has come.
async fn upgrade_fails(mut payload: web::Payload) -> HttpResponse {
    let pieces = stream::iter([Ok(Bytes::from("beginning"))]).chain(stream::once(async move {
        payload.next().await;
        Err(io::Error::other("no more"))
    }));
    HttpResponse::SwitchingProtocols()
        .upgrade("fails")
        .streaming(Box::pin(pieces))
}

/// Looks into its payload before it answers 101, and then reads it.
async fn reads_before_switching(mut payload: web::Payload) -> HttpResponse {
    assert!(payload.next().await.is_none());
    HttpResponse::SwitchingProtocols()
        .upgrade("late")
        .streaming(payload.take(1))
}

async fn switches_unasked() -> HttpResponse {
    HttpResponse::SwitchingProtocols()
        .upgrade("unasked")
        .streaming(stream::pending::<io::Result<Bytes>>())
}
