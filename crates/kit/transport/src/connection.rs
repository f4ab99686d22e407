//! One connection, from its first moment to its last.

use std::{
    cell::RefCell,
    future::poll_fn,
    mem,
    net::SocketAddr,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
};

use actix_http::{
    Request, Response,
    body::{BoxBody, MessageBody},
};
use actix_rt::time::{Instant, sleep_until};
use actix_service::Service;
use berth_kit_memory::Pressure;
use bytes::Bytes;

use crate::{
    closing::{End, Ended, LastLook, close},
    events::Events,
    eviction::Entered,
    http1::adapter::Adapter,
    stream::{
        ByteStream, Stream,
        activity::{Activity, Phase},
        proxy::Preface,
    },
    waiting::{Situation, Waiting},
    worker::Worker,
};

/// Serves a connection until it ends.
pub(crate) async fn serve<T, S, B, E>(
    mut io: T,
    peer: SocketAddr,
    worker: Rc<Worker<S, E>>,
    entered: Entered,
) where
    T: ByteStream,
    S: Service<Request> + 'static,
    S::Response: Into<Response<B>>,
    S::Error: Into<Response<BoxBody>>,
    B: MessageBody + 'static,
    E: Events,
{
    // Dropped while it is busy, it has been cut off: so it goes first where the worker ends.
    let open = worker.stop.connections.open(peer);
    let activity = Rc::new(Activity::new(open.busy()));
    let upgraded = Rc::new(RefCell::new(None));
    let mut waiting = Waiting::new(&entered);
    let Some(Preface { client, mut read }) = worker.preface(&mut io, peer, &entered.place).await
    else {
        return;
    };
    // Until now it was none of those that can make room: the peer is a proxy, and what it sends is not looked at.
    entered.place.enter(Phase::FirstHead);
    if !read.is_empty() {
        activity.read(&read);
    }
    let io = Rc::new(RefCell::new(io));
    let last_look = LastLook::new(&io, &activity);
    let end = {
        let mut timer = pin!(sleep_until(Instant::now()));
        let mut closing = pin!(worker.stop.closing());
        loop {
            // As long as nothing comes there is none: its buffers are most of what a connection takes.
            let mut http = None;
            let end = poll_fn(|cx| {
                if http.is_none() && (!read.is_empty() || has_come(&*io.borrow(), cx)) {
                    let adapter = Adapter {
                        application: Rc::clone(&worker.application),
                        events: Rc::clone(&worker.events),
                        peer: client,
                        stop: worker.stop.token(),
                        activity: Rc::clone(&activity),
                        upgrade: Rc::clone(&upgraded),
                    };
                    let read = mem::take(&mut read);
                    let memory = worker.memory.clone();
                    let stream = Stream::new(Rc::clone(&io), read, Rc::clone(&activity), memory);
                    http = Some(Box::new(worker.http.serve_connection(stream, adapter)));
                }
                if let Some(http) = &mut http
                    && let Poll::Ready(ended) = Pin::new(&mut **http).poll(cx)
                {
                    return Poll::Ready(End::Http(ended));
                }
                if !worker.stop.is_closing() {
                    let _ = closing.as_mut().poll(cx);
                }
                let pressure = worker.pressure();
                let situation = Situation {
                    phase: activity.phase(),
                    http: http.is_some() && activity.may_rest(),
                    is_pressed: pressure != Pressure::None,
                    broken: activity.broken.get(),
                    closing: worker.stop.is_closing() && activity.is_idle(),
                };
                if let Some(end) = waiting.look(cx, situation, &*io.borrow()) {
                    return Poll::Ready(end);
                }
                if lacks_memory(pressure, situation.phase, &activity) {
                    return Poll::Ready(End::NoMemory);
                }
                waiting.poll(cx, timer.as_mut(), situation, &worker.timeouts)
            })
            .await;
            match http {
                // A slice would keep the whole buffer.
                Some(http) if !matches!(end, End::NoMemory) => {
                    read = Bytes::copy_from_slice(&http.into_parts().read_buf);
                }
                _ => {}
            }
            match end {
                // The beginning of a request had come along with the one before.
                End::Rests | End::Stopped if !read.is_empty() => activity.has_begun(),
                End::Rests => worker.events.freed(),
                end => break end,
            }
        }
    };
    last_look.disarm();
    let upgraded = upgraded.take();
    let Some(mut io) = Rc::into_inner(io).map(RefCell::into_inner) else {
        return;
    };
    let ended = Ended {
        end,
        upgraded,
        read,
        client,
    };
    // As far as others are concerned, also where it goes on in another protocol.
    entered.place.enter(Phase::Answering);
    let outcome = ended
        .settle(
            &mut io,
            &activity,
            &*worker.events,
            worker.timeouts.upgraded,
        )
        .await;
    // A client may take a second to close, and what it has sent can be large.
    activity.ended();
    entered.place.enter(Phase::Closing);
    close(&mut io, outcome, &entered.place).await;
    drop(entered);
    drop(open);
    worker.events.freed();
}

/// Whether there is no memory for the rest of a head.
fn lacks_memory(pressure: Pressure, phase: Phase, activity: &Activity) -> bool {
    let is_half =
        matches!(phase, Phase::FirstHead | Phase::Head(_)) && activity.recent.borrow().has_begun();
    activity.is_too_large.get() || (pressure == Pressure::Full && is_half)
}

/// Whether there is something to read.
fn has_come(io: &impl ByteStream, cx: &mut Context<'_>) -> bool {
    io.has_buffered() || io.tcp().poll_read_ready(cx).is_ready()
}
