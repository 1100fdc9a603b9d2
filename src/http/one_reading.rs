//! Requests that two programs could read differently are refused, and what nobody reads keeps no connection.
//!
//! Owns: what the HTTP parser lets through and we do not: an address that names another host than `Host` does. The parser
//! itself refuses the rest (a length beside chunks, encodings that are not plainly `chunked`, two hosts, folded lines).
//! And the end of a connection whose body came in chunks and was not read to its end: the server would read on, for as
//! long as somebody sends. Only who showed a credential keeps a connection for a next request, since the server waits without
//! end for the rest of a second head. Never: reads a body itself. Fails: with 400. Proved by: `tests/doors/{smuggling,slow}.rs`.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, EitherBody, MessageBody};
use actix_web::dev::{Extensions, Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::ConnectionType;
use actix_web::http::header::{HOST, TRANSFER_ENCODING};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use actix_web::{HttpMessage as _, ResponseError as _};
use futures_util::Stream;

use super::error::{ApiError, Code};

/// Whether an answer on this connection said that it is the last one. The server answers what was sent behind it all the same.
#[derive(Default)]
struct Ended(Cell<bool>);

/// Called for each new connection.
pub fn meet(_: &dyn Any, connection: &mut Extensions) {
    connection.insert(Ended::default());
}

/// Lets a request through that has one reading, and ends the connection of one whose body was not wanted.
pub async fn one_reading<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    if names_two_hosts(&request) {
        return Ok(refused(request, "the address names another host than `Host` does"));
    }
    if request.conn_data::<Ended>().is_some_and(|ended| ended.0.get()) {
        return Ok(refused(request, "the answer before this one was the last of its connection"));
    }
    if !request.headers().contains_key(TRANSFER_ENCODING) {
        // A body of announced length that was not read ends the connection already.
        return Ok(closing_to_strangers(next.call(request).await?).map_into_left_body());
    }
    let chunks = Chunks(Rc::new(RefCell::new(request.take_payload())));
    let read = chunks.clone();
    request.set_payload(Payload::Stream { payload: Box::pin(read) });
    let response = closing_to_strangers(next.call(request).await?);
    Ok(response.map_body(|_, body| EitherBody::right(BoxBody::new(Answer { body: body.boxed(), _unread: chunks }))))
}

/// Ends the connection after an answer that anybody can have.
fn closing_to_strangers<B>(mut response: ServiceResponse<B>) -> ServiceResponse<B> {
    let is_health = matches!(response.request().path(), "/livez" | "/readyz");
    let refused = response.response().error().and_then(|error| error.as_error::<ApiError>()).map(ApiError::code);
    if is_health || refused.is_some_and(is_for_anybody) {
        end(&mut response);
    }
    response
}

fn refused<B>(request: ServiceRequest, why: &'static str) -> ServiceResponse<EitherBody<B>> {
    let mut response = request.into_response(ApiError::new(Code::BadRequest, why).error_response());
    end(&mut response);
    response.map_into_right_body()
}

/// Makes this answer the last one of its connection.
fn end<B>(response: &mut ServiceResponse<B>) {
    response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    if let Some(ended) = response.request().conn_data::<Ended>() {
        ended.0.set(true);
    }
}

/// Whether a refusal with this code needs no credential.
const fn is_for_anybody(code: Code) -> bool {
    match code {
        Code::Unauthorized
        | Code::TooManyFailures
        | Code::IssuerUnavailable
        | Code::NotFound
        | Code::MethodNotAllowed
        | Code::RequestTimeout
        | Code::Overloaded
        | Code::BodyTooLarge => true,
        Code::MalformedJson
        | Code::BadRequest
        | Code::Forbidden
        | Code::NotParked
        | Code::NotTested
        | Code::FileDecides
        | Code::CheckUnderWay
        | Code::UnsupportedMediaType
        | Code::InvalidEvent
        | Code::InvalidConfiguration
        | Code::EventConflict
        | Code::LaneFull
        | Code::TicketLaneFull
        | Code::TenantFull
        | Code::TenantBusy
        | Code::StoreUnavailable
        | Code::Internal => false,
    }
}

/// `POST http://this/v1/… HTTP/1.1` with `Host: that`: a proxy in front may have gone by either.
fn names_two_hosts(request: &ServiceRequest) -> bool {
    let Some(authority) = request.uri().authority() else { return false };
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    !authority.as_str().eq_ignore_ascii_case(host.trim())
}

/// A body in chunks, which its handler reads and its answer keeps.
#[derive(Clone)]
struct Chunks(Rc<RefCell<Payload>>);

impl Stream for Chunks {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_next(context)
    }
}

/// An answer that keeps hold of the body it answers to. The server reads a body that nobody holds to its end, and ends the
/// connection where somebody holds what is not yet read.
struct Answer {
    body: BoxBody,
    _unread: Chunks,
}

impl MessageBody for Answer {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}
