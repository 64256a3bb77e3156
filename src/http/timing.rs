//! How long answers take.

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use tokio::time::Instant;

use crate::metrics::HISTOGRAMS;
use crate::stats::Labels;

/// The route of paths that lead nowhere, which anybody can make up.
const UNKNOWN: &str = "unknown";

/// Notes how long it takes until an answer begins, by the pattern of its route and its status. A stream of events is noted when
/// it begins; a request whose client goes away before is not.
pub async fn timed(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let began = Instant::now();
    let route = request.match_pattern().unwrap_or_else(|| UNKNOWN.to_owned());
    let answer = next.call(request).await;
    let status = match &answer {
        Ok(response) => response.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    let pairs = [("route".to_owned(), route), ("status".to_owned(), status.as_str().to_owned())];
    if let Ok(labels) = Labels::from_pairs(pairs) {
        HISTOGRAMS.http_request_duration_seconds.get_or_create(&labels).observe(began.elapsed().as_secs_f64());
    }
    answer
}
