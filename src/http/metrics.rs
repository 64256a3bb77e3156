//! The calls about what is measured: metrics as they are now, series of what they were.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::ACCEPT;
use actix_web::web::{Data, ServiceConfig, get, resource, to};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::error::ApiError;
use super::face::Face;
use super::processes::no_such_method;
use super::query::Query;
use crate::actors::{Exhibit, ExhibitError};
use crate::clock::Millis;
use crate::export::{Format, json, negotiate, text_0_0_4};
use crate::process::RequestError;
use crate::stats::{Labels, Sample, Selector, Summary};

type Answer = Result<HttpResponse, ApiError>;

/// One answer is made of at most so many samples.
const SAMPLES_MAX: usize = 200_000;

/// The calls about what is measured.
pub fn routes(config: &mut ServiceConfig) {
    let at = |path: &str| resource(path.to_owned()).default_service(to(no_such_method));
    config
        .service(at("/metrics").route(get().to(metrics)))
        .service(at("/metrics.json").route(get().to(metrics_json)))
        .service(at("/series").route(get().to(series)))
        .service(at("/stats").route(get().to(stats)));
}

async fn metrics(face: Data<Face>, request: HttpRequest) -> Answer {
    // A client may name what it takes in several lines.
    let accepted = request.headers().get_all(ACCEPT).filter_map(|value| value.to_str().ok());
    let format = negotiate(Some(&accepted.collect::<Vec<_>>().join(",")));
    let text = apart(&face, move |exhibit| match format {
        Format::OpenMetrics => exhibit.openmetrics().map_err(unshown),
        Format::Text => exhibit.families().map(|families| text_0_0_4(&families)).map_err(unshown),
    });
    Ok(HttpResponse::Ok().content_type(format.content_type()).body(text.await?))
}

async fn metrics_json(face: Data<Face>) -> Answer {
    let text = apart(&face, |exhibit| {
        let families = exhibit.families().map_err(unshown)?;
        json(&families, exhibit.clock.now_ms()).map_err(|error| RequestError::Internal(error.to_string()))
    });
    Ok(HttpResponse::Ok().content_type("application/json").body(text.await?))
}

async fn series(face: Data<Face>, request: HttpRequest) -> Answer {
    let wanted = Wanted::read(request.query_string())?;
    let text = apart(&face, move |exhibit| {
        let (labels, samples) = wanted.find(exhibit)?;
        let labels = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        as_json(&SeriesOut { metric: &wanted.metric, labels, samples: &samples })
    });
    Ok(HttpResponse::Ok().content_type("application/json").body(text.await?))
}

async fn stats(face: Data<Face>, request: HttpRequest) -> Answer {
    let wanted = Wanted::read(request.query_string())?;
    let text = apart(&face, move |exhibit| as_json(&Summary::of(&wanted.find(exhibit)?.1)));
    Ok(HttpResponse::Ok().content_type("application/json").body(text.await?))
}

/// Does something with what is measured on a thread where it keeps nobody waiting.
async fn apart<T: Send + 'static>(
    face: &Face,
    work: impl FnOnce(&Exhibit) -> Result<T, RequestError> + Send + 'static,
) -> Result<T, ApiError> {
    let exhibit = Arc::clone(&face.exhibit);
    let working = tokio::task::spawn_blocking(move || work(&exhibit));
    let ended = |error| RequestError::Internal(format!("it ended early: {error}"));
    face.bounded(async { working.await.map_err(ended)? }).await
}

fn unshown(error: ExhibitError) -> RequestError {
    RequestError::Internal(error.to_string())
}

fn as_json(value: &impl Serialize) -> Result<String, RequestError> {
    serde_json::to_string(value).map_err(|error| RequestError::Internal(error.to_string()))
}

#[derive(Serialize)]
struct SeriesOut<'a> {
    metric: &'a str,
    labels: BTreeMap<&'a str, &'a str>,
    samples: &'a [Sample],
}

/// Which samples are asked for.
struct Wanted {
    metric: String,
    selector: Selector,
    range: Option<Duration>,
}

/// Labels by name.
type Named = BTreeMap<String, String>;

impl Wanted {
    fn read(query: &str) -> Result<Self, ApiError> {
        let query = Query::read(query)?;
        Ok(Self { metric: query.metric()?, selector: query.selector()?, range: query.range()? })
    }

    /// The samples, in the order of their times, and the labels that all of their series have.
    ///
    /// A series whose labels are exactly those asked for stands for itself. Otherwise it is all series that have those labels
    /// and others besides. The labels are those asked for where there is none.
    fn find(&self, exhibit: &Exhibit) -> Result<(Named, Vec<Sample>), RequestError> {
        let now = exhibit.clock.now_ms();
        let since = self.range.map_or(0, |range| now.saturating_sub(millis(range)));
        let asked: Named = self.selector.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let exact = Labels::from_pairs(asked.clone()).unwrap_or_default();
        let book = exhibit.book.open();
        if let Some(series) = book.get(&self.metric, &exact) {
            return Ok((named(&exact), series.since(since).collect()));
        }
        let (mut common, mut samples): (Option<Named>, Vec<Sample>) = (None, Vec::new());
        for (labels, found) in book.select(&self.metric, &self.selector, since) {
            samples.extend(found);
            if samples.len() > SAMPLES_MAX {
                return Err(too_many());
            }
            match &mut common {
                Some(common) => common.retain(|name, value| labels.get(name) == Some(value)),
                None => common = Some(named(labels)),
            }
        }
        drop(book);
        samples.sort_by_key(|(time, _)| *time);
        Ok((common.unwrap_or(asked), samples))
    }
}

fn named(labels: &Labels) -> Named {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn millis(range: Duration) -> Millis {
    Millis::try_from(range.as_millis()).unwrap_or(Millis::MAX)
}

fn too_many() -> RequestError {
    let text = format!("more than {SAMPLES_MAX} samples are asked for; name labels, or a shorter range");
    RequestError::BadRequest(text)
}
