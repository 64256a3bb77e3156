//! What a refused request is answered with: `{"error":{"code","message"}}`, never a stack trace.

use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde_json::json;

use crate::ids::IdError;
use crate::metrics::COUNTERS;
use crate::process::RequestError;
use crate::push::Refused;
use crate::units::format_duration;

/// How much of a message that repeats what it was given is kept from its beginning and from its end, in characters.
const BEGINNING: usize = 500;
const END: usize = 100;

/// `message`, without its middle where it is long.
fn brief(message: String) -> String {
    let length = message.chars().count();
    if length <= BEGINNING + END {
        return message;
    }
    let (beginning, end) = (message.chars().take(BEGINNING), message.chars().skip(length - END));
    beginning.chain(" … ".chars()).chain(end).collect()
}

/// A refusal on its way to the client.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl ApiError {
    /// The request makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code: "bad_request", message: brief(message.into()) }
    }

    /// The body took longer to come than a request may.
    pub fn too_slow(time: Duration) -> Self {
        let message = format!("the body was not here within {}", format_duration(time));
        Self { status: StatusCode::REQUEST_TIMEOUT, code: "deadline", message }
    }

    /// No token, or none that is known.
    pub fn unauthorized() -> Self {
        let message = "a known token is needed: Authorization: Bearer <token>".to_owned();
        Self { status: StatusCode::UNAUTHORIZED, code: "unauthorized", message }
    }

    /// The request came under a name or from a page that may not.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self { status: StatusCode::FORBIDDEN, code: "unauthorized", message: brief(message.into()) }
    }

    /// Nothing is at this path.
    pub fn no_such_path(path: &str) -> Self {
        Self { status: StatusCode::NOT_FOUND, code: "not_found", message: brief(format!("nothing is at {path}")) }
    }

    /// The path knows other methods.
    pub fn no_such_method(method: &str, path: &str) -> Self {
        let message = brief(format!("{path} does not take {method}"));
        Self { status: StatusCode::METHOD_NOT_ALLOWED, code: "bad_request", message }
    }
}

impl From<RequestError> for ApiError {
    fn from(error: RequestError) -> Self {
        let status = match &error {
            RequestError::BadRequest(_) => StatusCode::BAD_REQUEST,
            RequestError::DeviceNotAllowed(_) => StatusCode::FORBIDDEN,
            RequestError::NotFound(_)
            | RequestError::SlotOutOfRange { .. }
            | RequestError::SlotNotComputed { .. }
            | RequestError::WrongGroup { .. } => StatusCode::NOT_FOUND,
            RequestError::IdReused(_)
            | RequestError::Conflict(_)
            | RequestError::Halted { .. }
            | RequestError::BaseHalted { .. } => StatusCode::CONFLICT,
            RequestError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            RequestError::Overloaded { .. } | RequestError::Unknown(_) | RequestError::Store(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            RequestError::Deadline(_) | RequestError::CutOff { .. } => StatusCode::GATEWAY_TIMEOUT,
            RequestError::InfiniteRecursion { .. } => StatusCode::LOOP_DETECTED,
            RequestError::NotSupported(_) => StatusCode::NOT_IMPLEMENTED,
            RequestError::LeaderDied { .. } | RequestError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if matches!(error, RequestError::Overloaded { .. }) {
            COUNTERS.requests_refused.inc();
        }
        Self { status, code: error.code(), message: brief(error.to_string()) }
    }
}

impl From<IdError> for ApiError {
    fn from(error: IdError) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl From<Refused> for ApiError {
    /// A status for good: the sender makes a dead letter of it.
    fn from(refused: Refused) -> Self {
        let message = brief(refused.to_string());
        Self { status: StatusCode::LOOP_DETECTED, code: "infinite_recursion", message }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let body = json!({ "error": { "code": self.code, "message": self.message } });
        let mut response = HttpResponse::build(self.status).json(body);
        let headers = response.headers_mut();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
