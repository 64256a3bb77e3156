//! The groups that a request came through.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};

use super::error::ApiError;
use crate::group::Chain;

/// The groups that a request came through, and that wait for it.
#[derive(Clone, Debug, Default)]
pub struct Came(pub Chain);

impl FromRequest for Came {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(read(request))
    }
}

/// A header that comes several times is one list, as HTTP has it; a line without names adds nothing to it.
fn read(request: &HttpRequest) -> Result<Came, ApiError> {
    let mut lines = Vec::new();
    for value in request.headers().get_all(Chain::HEADER) {
        let line =
            value.to_str().map_err(|_| ApiError::bad_request(format!("the header {} is not ASCII", Chain::HEADER)))?;
        if !line.trim().is_empty() {
            lines.push(line);
        }
    }
    let chain = Chain::parse(&lines.join(","));
    chain.map(Came).map_err(|error| ApiError::bad_request(format!("the header {}: {error}", Chain::HEADER)))
}
