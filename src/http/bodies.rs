//! Bodies that do not come, or not to their end.
//!
//! A body is waited for as long as a request may take. Of a connection whose request was answered before its body was
//! read to the end nothing more can be expected: the server closes it, soon, if the rest of the body is still somebody's.
//! Dropped it would go on reading for as long as the client likes, so the rest stays with the answer until that is sent.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future as _;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::StatusCode;
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data};
use actix_web::{Error, HttpMessage as _, HttpResponse, ResponseError};
use futures_util::Stream;
use tokio::time::{Sleep, sleep};

use super::face::Face;

/// The body of a request, as far as it was not read.
struct Rest {
    payload: RefCell<Payload>,
    is_over: Cell<bool>,
}

/// The same, for who reads it.
struct Body {
    rest: Rc<Rest>,
    time: Duration,
    /// When it is late. Most bodies come with the head, and no clock is set for them.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Body {
    /// Whether it has been waited for too long.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let time = self.time;
        self.deadline.get_or_insert_with(|| Box::pin(sleep(time))).as_mut().poll(cx).is_ready()
    }
}

impl Stream for Body {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = Pin::new(&mut *self.rest.payload.borrow_mut()).poll_next(cx);
        match polled {
            Poll::Ready(None) => self.rest.is_over.set(true),
            Poll::Pending if self.is_late(cx) => {
                let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
                return Poll::Ready(Some(Err(PayloadError::Io(late))));
            }
            _ => {}
        }
        polled
    }
}

/// An answer, with what was not read of its request.
struct Answer {
    body: BoxBody,
    _rest: Rc<Rest>,
}

impl MessageBody for Answer {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(cx)
    }
}

impl Rest {
    fn stays_with(self: &Rc<Self>, body: BoxBody) -> BoxBody {
        BoxBody::new(Answer { body, _rest: self.clone() })
    }
}

/// An error that a request with a body came to.
struct Unread {
    error: Error,
    rest: Rc<Rest>,
}

impl fmt::Debug for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl ResponseError for Unread {
    fn status_code(&self) -> StatusCode {
        self.error.as_response_error().status_code()
    }

    fn error_response(&self) -> HttpResponse {
        self.error.error_response().map_body(|_, body| self.rest.stays_with(body))
    }
}

/// Bounds the time that a request's body may take, and has the connection closed where it is not read to its end.
pub(super) async fn bounded(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let payload = request.take_payload();
    let (Some(face), false) = (request.app_data::<Data<Face>>(), matches!(payload, Payload::None)) else {
        request.set_payload(payload);
        return next.call(request).await.map(ServiceResponse::map_into_left_body);
    };
    let time = face.request_timeout;
    let rest = Rc::new(Rest { payload: RefCell::new(payload), is_over: Cell::new(false) });
    request.set_payload(Payload::Stream { payload: Box::pin(Body { rest: rest.clone(), time, deadline: None }) });
    match next.call(request).await {
        Ok(response) if rest.is_over.get() => Ok(response.map_into_left_body()),
        Ok(response) => Ok(response.map_body(|_, body| EitherBody::right(rest.stays_with(body.boxed())))),
        Err(error) => Err(Unread { error, rest }.into()),
    }
}
