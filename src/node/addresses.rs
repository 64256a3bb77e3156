//! Whether the addresses of the configuration can be asked.

use crate::client::{ClientError, Endpoint};
use crate::config::{CheckTarget, Config, Problem, ReceiverKind};

/// What is wrong with the addresses of health checks and receivers.
pub(super) fn problems(config: &Config) -> Vec<Problem> {
    let checks = config.health.checks.iter().enumerate().filter_map(|(index, check)| match &check.target {
        CheckTarget::Http(url) => Some((format!("health.check[{index}].target"), url)),
        CheckTarget::Worker(_) | CheckTarget::Tcp(_) | CheckTarget::HostProcess(_) => None,
    });
    let receivers = config.alerts.receivers.iter().enumerate().filter_map(|(index, receiver)| match &receiver.kind {
        ReceiverKind::Webhook(url) | ReceiverKind::Alertmanager(url) => Some((format!("receiver[{index}].url"), url)),
        ReceiverKind::Log | ReceiverKind::Process(_) => None,
    });
    let problem = |(key, url): (String, &String)| {
        let Err(ClientError::Url { url, why }) = Endpoint::parse(url) else { return None };
        Some(Problem {
            file: config.origin.to_string(),
            place: None,
            key,
            found: format!("{url:?}: {why}"),
            expected: "an address that requests can go to".to_owned(),
            nearest: None,
        })
    };
    checks.chain(receivers).filter_map(problem).collect()
}

#[cfg(test)]
mod tests {
    use crate::config::{Origin, parse};

    #[test]
    fn an_address_that_nobody_can_ask_is_a_problem_that_hides_its_secrets() {
        let text = r#"
            [[health.check]]
            name = "good"
            kind = "http"
            target = "http://127.0.0.1:1/x"
            [[health.check]]
            name = "bad"
            kind = "http"
            target = "http://127.0.0.1:99999/x"
            [[receiver]]
            name = "hook"
            kind = "webhook"
            url = "http://user:secret@:1/?secret"
        "#;
        let config = parse(text, &Origin::Embedded, &|_| Err(std::io::ErrorKind::NotFound.into())).unwrap();
        let problems = super::problems(&config);
        let keys: Vec<_> = problems.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(keys, ["health.check[1].target", "receiver[0].url"]);
        assert!(problems.iter().all(|problem| !problem.found.contains("secret")), "{problems:?}");
    }
}
