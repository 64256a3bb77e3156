//! What could not be delivered, and what an operator does about it.

use std::sync::Arc;

use super::posting::sending;
use super::rig::{Rig, Settings, draft, id, run, still, usual};
use crate::actors::Delivery;
use crate::client::{self, Client};
use crate::device::fake::ECHO;
use crate::ids::MessageId;
use crate::process::{Draft, RequestError};
use crate::store::faulty::Fault;

/// As the node's HTTP side has one.
fn delivery(rig: &Rig, settings: &Settings) -> Arc<Delivery> {
    let client = Client::new(client::Options::default()).unwrap();
    Arc::new(Delivery::new(rig.hub.clone(), &settings.config, &client).unwrap())
}

/// Has `a` send to `b`, which is not there. Returns the letter's id.
async fn undelivered(rig: &Rig) -> MessageId {
    let a = rig.process("a").await;
    rig.wish(&a, &sending(&[("b", "1")])).await;
    rig.quiet().await;
    let letters = rig.letters().await;
    assert_eq!(letters.len(), 1, "{letters:?}");
    letters[0].id.clone()
}

#[test]
fn a_letter_stays_until_its_target_is_there_and_is_delivered_once() {
    usual(async |rig| {
        let letter = undelivered(&rig).await;
        let delivery = delivery(&rig, &Settings::default());
        let first = rig.letters().await.remove(0);
        assert!(first.error.contains("there is no process b on this node"), "{first:?}");
        assert_eq!((first.source.as_str(), first.slot.0, first.index, first.attempts), ("a", 1, 0, 1));
        assert!(first.message.as_str().contains("\"Data\":\"1\""), "{first:?}");
        let refused = still(delivery.retry(&letter)).await.unwrap_err();
        assert!(matches!(refused, RequestError::Conflict(_)), "{refused:?}");
        let second = rig.letters().await.remove(0);
        assert_eq!((second.attempts, second.since, &second.message), (2, first.since, &first.message));

        let b = rig.process("b").await;
        // What comes later in the row does not take its place.
        let a = id("a");
        rig.wish(&a, &sending(&[("b", "2")])).await;
        rig.quiet().await;
        assert_eq!(still(delivery.retry(&letter)).await, Ok(()));
        assert_eq!(rig.letters().await, []);
        let refused = still(delivery.retry(&letter)).await.unwrap_err();
        assert!(matches!(refused, RequestError::NotFound(_)), "{refused:?}");
        rig.rest(&b).await;
        let received: Vec<_> = rig.received(&b).into_iter().map(|(_, data)| data).collect();
        assert_eq!(received, ["2", "1"]);
        assert_eq!(rig.log(&b)[2].message.id, letter);
    });
}

#[test]
fn a_letter_that_is_dropped_is_gone() {
    usual(async |rig| {
        let letter = undelivered(&rig).await;
        let delivery = delivery(&rig, &Settings::default());
        assert_eq!(still(delivery.drop_letter(&letter)).await, Ok(()));
        assert_eq!(rig.letters().await, []);
        let refused = still(delivery.drop_letter(&letter)).await.unwrap_err();
        assert!(matches!(refused, RequestError::NotFound(_)), "{refused:?}");
    });
}

#[test]
fn two_who_try_at_once_deliver_once_and_none_brings_the_letter_back() {
    usual(async |rig| {
        let letter = undelivered(&rig).await;
        let delivery = delivery(&rig, &Settings::default());
        let (one, drop) = still(async { tokio::join!(delivery.retry(&letter), delivery.drop_letter(&letter)) }).await;
        assert!(one.is_err());
        assert_eq!((drop, rig.letters().await), (Ok(()), vec![]), "it was dropped while it was tried");
        let a = id("a");
        rig.wish(&a, &sending(&[("b", "2")])).await;
        rig.quiet().await;
        let letter = rig.letters().await.remove(0).id;
        let b = rig.process("b").await;
        let (one, two) = still(async { tokio::join!(delivery.retry(&letter), delivery.retry(&letter)) }).await;
        assert!(one.is_ok() && matches!(two, Err(RequestError::Conflict(_))), "{one:?} {two:?}");
        assert_eq!(rig.letters().await, []);
        rig.rest(&b).await;
        assert_eq!(rig.received(&b).len(), 1);
    });
}

#[test]
fn a_retry_whose_end_is_not_known_delivers_once() {
    for fault in [Fault::Before, Fault::After] {
        for position in 0..3 {
            usual(async |rig| {
                let letter = undelivered(&rig).await;
                rig.recover();
                let delivery = delivery(&rig, &Settings::default());
                let b = rig.process("b").await;
                rig.faults.next(std::iter::repeat_n(Fault::None, position).chain([fault]));
                let mut tries = 0;
                while !rig.letters().await.is_empty() {
                    let _ = still(delivery.retry(&letter)).await;
                    rig.some_time().await;
                    tries += 1;
                    assert!(tries < 100, "it never is delivered");
                }
                rig.faults.heal();
                rig.healthy().await;
                rig.quiet().await;
                assert_eq!(rig.received(&b).len(), 1, "{fault:?} {position}");
            });
        }
    }
}

#[test]
fn a_retry_begins_a_chain_of_its_own() {
    let settings = || {
        let mut settings = Settings::default();
        settings.config.push.max_depth = 3;
        settings
    };
    run(settings(), async |rig| {
        let delivery = delivery(&rig, &settings());
        let (a, b) = (rig.process_of("a", ECHO).await, rig.process_of("b", ECHO).await);
        still(rig.hub.schedule(&b, Draft { from: "a".to_owned(), ..draft("go") })).await.unwrap();
        rig.quiet().await;
        let all = |rig: &Rig| rig.received(&a).len() + rig.received(&b).len();
        assert_eq!(all(&rig), 3);
        let letter = rig.letters().await.remove(0).id;
        assert_eq!(still(delivery.retry(&letter)).await, Ok(()));
        rig.quiet().await;
        assert_eq!(all(&rig), 6, "as many again");
        let letters = rig.letters().await;
        assert_eq!(letters.len(), 1);
        assert_ne!(letters[0].id, letter);
    });
}
