//! Bodies, from hyper to actix and back.

use std::{
    error::Error,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use actix_http::{
    body::{BodySize, MessageBody},
    error::PayloadError,
};
use bytes::Bytes;
use futures_util::Stream;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use pin_project_lite::pin_project;

use crate::stream::activity::{Activity, RequestBody};

/// A request's body, as actix reads it.
pub(crate) struct IncomingBody {
    /// There until this is dropped.
    body: Option<Incoming>,
    activity: Rc<Activity>,
}

impl IncomingBody {
    pub(crate) fn new(body: Incoming, activity: Rc<Activity>) -> Self {
        let body = Some(body);
        Self { body, activity }
    }
}

impl Stream for IncomingBody {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            // Once the request has been answered, hyper tells of the end only when the next one comes.
            let Some(body) = this.body.as_mut().filter(|body| !body.is_end_stream()) else {
                return Poll::Ready(None);
            };
            let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
            if body.is_end_stream() || frame.is_none() {
                this.activity.request_body.set(RequestBody::Done);
            }
            return Poll::Ready(match frame {
                None => None,
                Some(Err(error)) => Some(Err(broken(&error))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => Some(Ok(data)),
                    // Trailers: actix has no place for them.
                    Err(_) => continue,
                },
            });
        }
    }
}

impl Drop for IncomingBody {
    fn drop(&mut self) {
        if self.activity.request_body.get() == RequestBody::Unread
            && let Some(body) = self.body.take()
        {
            self.activity.abandon(body);
        }
    }
}

fn broken(error: &hyper::Error) -> PayloadError {
    if error.is_incomplete_message() {
        return PayloadError::Incomplete(None);
    }
    log::debug!("a request's body is broken: {error}");
    PayloadError::EncodingCorrupted
}

pin_project! {
    /// An answer's body, as hyper reads it.
    pub(crate) struct AnswerBody<B> {
        #[pin]
        body: Option<B>,
        ending: Ending,
    }
}

/// Tells that an answer's body has ended, however it does.
struct Ending(Rc<Activity>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.answer_ends();
    }
}

impl<B> AnswerBody<B> {
    /// The body of an answer that begins now. `None` is an empty one.
    pub(crate) fn new(body: Option<B>, activity: &Rc<Activity>) -> Self {
        activity.answer_begins();
        Self {
            body,
            ending: Ending(Rc::clone(activity)),
        }
    }
}

/// The application could not produce the rest of an answer's body.
#[derive(Debug, thiserror::Error)]
#[error("the body of an answer failed: {0}")]
pub(crate) struct BodyError(String);

impl<B: MessageBody> Body for AnswerBody<B> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.project();
        let Some(body) = this.body.as_pin_mut() else {
            return Poll::Ready(None);
        };
        let activity = &this.ending.0;
        if !activity.may_send(cx) {
            return Poll::Pending;
        }
        Poll::Ready(ready!(body.poll_next(cx)).map(|piece| match piece {
            Ok(bytes) => {
                activity.sent(bytes.len());
                Ok(Frame::data(bytes))
            }
            Err(error) => Err(BodyError(Into::<Box<dyn Error>>::into(error).to_string())),
        }))
    }

    fn is_end_stream(&self) -> bool {
        // Where there is any, its end is for the body to tell: who watches it waits for that.
        self.size_hint().exact() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        match self.body.as_ref().map(MessageBody::size) {
            None | Some(BodySize::None) => SizeHint::with_exact(0),
            Some(BodySize::Sized(size)) => SizeHint::with_exact(size),
            Some(BodySize::Stream) => SizeHint::default(),
        }
    }
}
