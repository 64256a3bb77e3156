//! The chains that a request is part of: the groups that wait for it, and the pushes that led to it.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};

use super::error::ApiError;
use crate::group::Chain;
use crate::process::PushChain;

/// The groups that a request came through, and that wait for it.
#[derive(Clone, Debug, Default)]
pub struct Came(pub Chain);

impl FromRequest for Came {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(came(request))
    }
}

/// A header that comes several times is one list, as HTTP has it; a line without names adds nothing to it.
fn came(request: &HttpRequest) -> Result<Came, ApiError> {
    let lines = lines(request, Chain::HEADER)?;
    let named: Vec<_> = lines.into_iter().filter(|line| !line.trim().is_empty()).collect();
    Chain::parse(&named.join(",")).map(Came).map_err(|error| bad(Chain::HEADER, error))
}

/// The pushes that led to a message at another node, if it says so.
#[derive(Clone, Debug, Default)]
pub struct Pushed(pub Option<PushChain>);

impl FromRequest for Pushed {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(pushed(request))
    }
}

/// It is no list: one that comes twice says two things.
fn pushed(request: &HttpRequest) -> Result<Pushed, ApiError> {
    match lines(request, PushChain::HEADER)?[..] {
        [] => Ok(Pushed(None)),
        [line] => {
            PushChain::parse(line).map(|chain| Pushed(Some(chain))).map_err(|error| bad(PushChain::HEADER, error))
        }
        _ => Err(bad(PushChain::HEADER, "it comes more than once")),
    }
}

fn lines<'r>(request: &'r HttpRequest, header: &str) -> Result<Vec<&'r str>, ApiError> {
    let values = request.headers().get_all(header);
    values.map(|value| value.to_str().map_err(|_| bad(header, "it is not ASCII"))).collect()
}

fn bad(header: &str, why: impl std::fmt::Display) -> ApiError {
    ApiError::bad_request(format!("the header {header}: {why}"))
}
