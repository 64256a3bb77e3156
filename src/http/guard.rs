//! Who may ask: the token, the name that the node is called by, the page that a browser asks from.

use std::net::IpAddr;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, web};
use subtle::ConstantTimeEq;

use super::error::ApiError;
use super::face::Face;
use crate::process::LOCAL;

/// Who asks: the name of its token, or `local` where none is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller(pub String);

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = std::future::Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut actix_web::dev::Payload) -> Self::Future {
        std::future::ready(request.extensions().get::<Self>().cloned().ok_or_else(ApiError::unauthorized))
    }
}

/// Lets a request through with its [`Caller`], or refuses it.
pub async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    if matches!(request.path(), "/livez" | "/readyz") {
        return next.call(request).await;
    }
    let Some(face) = request.app_data::<web::Data<Face>>().cloned() else {
        return Err(ApiError::unauthorized().into());
    };
    check_host(&request, &face)?;
    check_origin(&request, &face)?;
    let caller = caller(&request, &face)?;
    request.extensions_mut().insert(caller);
    next.call(request).await
}

fn header(request: &ServiceRequest, name: HeaderName) -> Option<Result<&str, ApiError>> {
    let value = request.headers().get(&name)?;
    Some(value.to_str().map_err(|_| ApiError::bad_request(format!("the header {name} is not ASCII"))))
}

/// A web page can have its own name point to this node's address. So only names that the operator knows are answered to;
/// addresses can't be pointed anywhere.
fn check_host(request: &ServiceRequest, face: &Face) -> Result<(), ApiError> {
    let Some(host) = header(request, HOST).transpose()? else { return Ok(()) };
    let name = name_of(host);
    let is_known = name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok()
        || face.hosts.iter().any(|known| known.eq_ignore_ascii_case(name));
    if is_known {
        Ok(())
    } else {
        Err(ApiError::forbidden(format!("this node is not called {name:?}; add it to http.hosts")))
    }
}

/// A browser says which page asks. Only pages of this node itself, or of a name in `http.hosts`, may.
fn check_origin(request: &ServiceRequest, face: &Face) -> Result<(), ApiError> {
    let Some(origin) = header(request, ORIGIN).transpose()? else { return Ok(()) };
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    let host = header(request, HOST).transpose()?;
    let is_known = authority.is_some_and(|authority| {
        host.is_some_and(|host| host.eq_ignore_ascii_case(authority))
            || face.hosts.iter().any(|known| known.eq_ignore_ascii_case(name_of(authority)))
    });
    if is_known { Ok(()) } else { Err(ApiError::forbidden(format!("pages of {origin:?} may not ask this node"))) }
}

/// The name in `name:port`, `[address]:port` or either without the port.
fn name_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split_once(']').map_or(rest, |(address, _)| address);
    }
    authority.rsplit_once(':').map_or(authority, |(name, _)| name)
}

fn caller(request: &ServiceRequest, face: &Face) -> Result<Caller, ApiError> {
    if face.tokens.is_empty() {
        return Ok(Caller(LOCAL.to_owned()));
    }
    let given = header(request, AUTHORIZATION).transpose()?.and_then(bearer).ok_or_else(ApiError::unauthorized)?;
    let mut found = None;
    for known in &face.tokens {
        // Every token is compared whole, so that the time tells nothing.
        if bool::from(known.token.expose().as_bytes().ct_eq(given.as_bytes())) {
            found = Some(known.name.clone());
        }
    }
    found.map(Caller).ok_or_else(ApiError::unauthorized)
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_what_stands_before_the_port() {
        for (authority, name) in [
            ("localhost", "localhost"),
            ("localhost:8734", "localhost"),
            ("127.0.0.1:1", "127.0.0.1"),
            ("[::1]:8734", "::1"),
            ("[::1]", "::1"),
        ] {
            assert_eq!(name_of(authority), name);
        }
    }

    #[test]
    fn a_bearer_token_follows_its_scheme_in_any_case() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer  abc"), Some("abc"));
        assert_eq!(bearer("Basic abc"), None);
        assert_eq!(bearer("abc"), None);
    }
}
