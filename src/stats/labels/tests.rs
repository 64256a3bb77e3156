use proptest::prelude::*;

use super::*;

fn pairs(labels: &Labels) -> Vec<(&str, &str)> {
    labels.iter().collect()
}

#[test]
fn labels_are_read_in_any_spelling() {
    for (text, expected) in [
        ("", vec![]),
        ("  ", vec![]),
        (r#"a="x""#, vec![("a", "x")]),
        (r#"b="y",a="x""#, vec![("a", "x"), ("b", "y")]),
        (r#" a = "x" , _b1 = "y" , "#, vec![("_b1", "y"), ("a", "x")]),
        (r#"a="1\\2\"3\n4""#, vec![("a", "1\\2\"3\n4")]),
        (r#"a="x=y,z{}""#, vec![("a", "x=y,z{}")]),
        (r#"a="ä€""#, vec![("a", "ä€")]),
        (r#"a="",b="y""#, vec![("b", "y")]),
    ] {
        assert_eq!(pairs(&Labels::parse(text).unwrap()), expected, "{text}");
    }
}

#[test]
fn what_is_no_label_is_refused_with_its_place() {
    let syntax = |at, expected| LabelError::Syntax { at, expected };
    let name = |name: &str| LabelError::Name { name: name.into() };
    let many: String = (0..=MAX_LABELS).map(|n| format!("l{n}=\"x\",")).collect();
    for (text, expected) in [
        ("a", syntax(1, "an equals sign")),
        ("a=x", syntax(2, "a quote")),
        (r#"a="x"#, syntax(4, "a quote")),
        (r#"a="x" b="y""#, syntax(6, "a comma")),
        (r#"a="x",,"#, syntax(7, "an equals sign")),
        (r#"="x""#, name("")),
        (r#"1a="x""#, name("1a")),
        (r#"a-b="x""#, name("a-b")),
        (r#"a:b="x""#, name("a:b")),
        (r#"ä="x""#, name("ä")),
        (r#"__name__="x""#, LabelError::Reserved { name: "__name__".into() }),
        (r#"a="x",a="y""#, LabelError::Twice { name: "a".into() }),
        (r#"a="x",a="""#, LabelError::Twice { name: "a".into() }),
        (r#"a="\t""#, LabelError::Escape { at: 3 }),
        (r#"a="\"#, LabelError::Escape { at: 3 }),
        (&format!("a=\"{}\"", "x".repeat(MAX_VALUE + 1)), LabelError::Value { name: "a".into(), found: 1025 }),
        (&format!("{}=\"x\"", "a".repeat(MAX_NAME + 1)), name(&"a".repeat(MAX_NAME))),
        (&many, LabelError::TooMany),
    ] {
        assert_eq!(Labels::parse(text), Err(expected), "{text}");
    }
}

#[test]
fn names_of_metrics_may_hold_colons() {
    for (name, expected) in [("a:b_1", true), ("_", true), ("", false), ("1", false), ("a b", false), ("ä", false)] {
        assert_eq!(is_metric_name(name), expected, "{name}");
    }
    assert!(is_metric_name(&"a".repeat(MAX_NAME)));
    assert!(!is_metric_name(&"a".repeat(MAX_NAME + 1)));
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_the_same(pairs in proptest::collection::btree_map("[a-zA-Z][a-zA-Z0-9_]{0,5}", "\\PC{0,4}[\\\\\"\n,=x]{0,4}", 0..6)) {
        let labels = Labels::from_pairs(pairs.clone()).unwrap();
        prop_assert_eq!(&Labels::parse(&labels.to_string()).unwrap(), &labels);
        for (name, value) in &pairs {
            prop_assert_eq!(labels.get(name).unwrap_or_default(), value);
        }
        prop_assert_eq!(labels.len(), pairs.values().filter(|value| !value.is_empty()).count());
    }

    #[test]
    fn no_text_makes_it_fall(text in "[a-b=\",\\\\n {}ä]{0,20}") {
        if let Ok(labels) = Labels::parse(&text) {
            prop_assert_eq!(Labels::parse(&labels.to_string()), Ok(labels));
        }
    }
}
