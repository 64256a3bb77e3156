//! The HTTP server and its bounds.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{Server, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{App, Error, HttpRequest, HttpResponse, HttpServer, middleware};

use super::error::ApiError;
use super::face::Face;
use super::{bodies, events, groups, guard, hang_up, health, metrics, modules, monitors, processes, timing};
use crate::config::HttpConfig;

/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Every route.
fn routes(config: &mut ServiceConfig) {
    health::routes(config);
    processes::routes(config);
    modules::routes(config);
    groups::routes(config);
    monitors::routes(config);
    events::routes(config);
    metrics::routes(config);
}

/// What paths that lead nowhere are answered with.
async fn no_such_path(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    Err(ApiError::no_such_path(request.path()))
}

/// The whole face: guard, routes, and the answer to everything else. For the server and for tests in process.
pub fn app(
    face: Data<Face>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    App::new()
        .app_data(face)
        .wrap(middleware::from_fn(guard::guard))
        .wrap(middleware::from_fn(bodies::bounded))
        .wrap(middleware::from_fn(timing::timed))
        .configure(routes)
        .default_service(web::to(no_such_path))
}

/// Binds the address and starts to serve. Returns the server, to be awaited, and the address that it got. From when it is
/// told to stop, requests that run have `longest_stop` to end. `begun` is called on each of the server's threads, with its
/// number, when it begins.
pub fn serve(
    face: Data<Face>,
    config: &HttpConfig,
    workers: usize,
    longest_stop: Duration,
    begun: impl Fn(usize) + Clone + Send + 'static,
) -> std::io::Result<(Server, SocketAddr)> {
    let threads = Arc::new(AtomicUsize::new(0));
    let server = HttpServer::new(move || {
        // One that died is replaced, under a number that was used before.
        begun(threads.fetch_add(1, Ordering::Relaxed) % workers);
        app(face.clone())
    });
    let server = server
        .workers(workers)
        .max_connections(config.max_connections.div_ceil(workers))
        .client_request_timeout(HEAD_TIMEOUT)
        .on_connect(hang_up::note)
        .shutdown_timeout(longest_stop.as_secs() + 1)
        .disable_signals()
        .bind(config.listen)?;
    let address = server.addrs().first().copied().unwrap_or(config.listen);
    Ok((server.run(), address))
}
