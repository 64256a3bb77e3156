use super::*;

fn labels(text: &str) -> Labels {
    Labels::parse(text).unwrap()
}

fn selected(store: &SeriesStore, metric: &str, selector: &str, since: Millis) -> Vec<(String, Vec<Sample>)> {
    let selector = Selector::parse(selector).unwrap();
    let all = store.select(metric, &selector, since);
    all.map(|(labels, samples)| (labels.to_string(), samples)).collect()
}

#[test]
fn series_are_found_by_metric_labels_and_time() {
    let mut store = SeriesStore::new(10, 10);
    for (now, metric, text, value) in [
        (10, "cpu", r#"p="b""#, 1.0),
        (10, "cpu", r#"p="a",z="1""#, 2.0),
        (10, "rss", r#"p="a""#, 3.0),
        (20, "cpu", r#"p="b""#, 4.0),
    ] {
        store.record(now, metric, &labels(text), value).unwrap();
    }
    let a = (r#"p="a",z="1""#.to_owned(), vec![(10, 2.0)]);
    let b = (r#"p="b""#.to_owned(), vec![(10, 1.0), (20, 4.0)]);
    for (metric, selector, since, expected) in [
        ("cpu", "", 0, vec![a.clone(), b.clone()]),
        ("cpu", r#"p="b""#, 0, vec![b.clone()]),
        ("cpu", r#"z="""#, 0, vec![b.clone()]),
        ("cpu", "", 11, vec![(b.0.clone(), vec![(20, 4.0)])]),
        ("cpu", "", 21, vec![]),
        ("cpu", r#"p="c""#, 0, vec![]),
        ("gpu", "", 0, vec![]),
    ] {
        assert_eq!(selected(&store, metric, selector, since), expected, "{metric} {selector} {since}");
    }
    assert_eq!(store.len(), 3);
    assert_eq!(store.metrics().collect::<Vec<_>>(), ["cpu", "rss"]);
}

#[test]
fn what_cannot_be_kept_is_refused_and_counted() {
    let mut store = SeriesStore::new(10, 2);
    let none = Labels::default();
    assert_eq!(store.record(1, "a", &none, 1.0), Ok(()));
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(store.record(2, "a", &none, value), Err(Refused::NotFinite));
    }
    assert_eq!(store.record(2, "a b", &none, 1.0), Err(Refused::Name));
    assert_eq!(store.record(2, "b", &none, 1.0), Ok(()));
    assert_eq!(store.record(2, "b", &labels(r#"p="a""#), 1.0), Err(Refused::Full { max: 2 }));
    assert_eq!(store.record(2, "c", &none, 1.0), Err(Refused::Full { max: 2 }));
    assert_eq!(store.record(3, "b", &none, 1.0), Ok(()), "one that is there goes on");
    assert_eq!(store.record(1, "b", &none, 1.0), Ok(()));
    assert_eq!(store.losses(), Losses { full: 2, not_finite: 3, name: 1, ahead: 2 });
    assert_eq!(store.len(), 2);
    assert_eq!(SeriesStore::new(10, 0).record(1, "a", &none, 1.0), Err(Refused::Full { max: 0 }));
}

#[test]
fn an_explosion_of_label_sets_is_bounded() {
    let mut store = SeriesStore::new(10, 1_000);
    for n in 0..100_000 {
        let _ = store.record(1, "m", &labels(&format!("n=\"{n}\"")), 1.0);
    }
    assert_eq!((store.len(), store.losses().full), (1_000, 99_000));
}

#[test]
fn dead_series_are_removed_by_collections_not_by_time() {
    let mut store = SeriesStore::new(10, 2);
    let (a, b) = (labels(r#"p="a""#), labels(r#"p="b""#));
    store.record(1, "m", &a, 1.0).unwrap();
    store.record(1, "n", &b, 1.0).unwrap();
    assert_eq!(store.sweep(2), 0);
    for (now, removed) in [(Millis::MAX, 0), (3, 0), (4, 1), (5, 0)] {
        store.record(now, "m", &a, 1.0).unwrap();
        assert_eq!(store.sweep(2), removed, "at {now}");
    }
    assert_eq!(store.metrics().collect::<Vec<_>>(), ["m"]);
    assert_eq!(store.record(6, "n", &b, 1.0), Ok(()), "there is room again");
    assert_eq!(store.sweep(0), 1, "the one that was not in this collection");
    assert_eq!(store.len(), 1);
}
