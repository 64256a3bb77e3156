//! Who is asked with a token.

use std::io;

use super::super::*;
use super::lines_of;

const ADDRESS: &str =
    "an address such as \"https://node.example:8734\", of at most 2048 bytes, without query, name and password";
const TOKEN: &str = "a token of 1 to 1024 visible ASCII characters";

fn peer(url: &str, token: &str) -> String {
    format!("[[peer]]\nurl = '{url}'\ntoken = '{token}'\n")
}

#[test]
fn a_bad_address_is_not_shown() {
    let long = format!("http://a/{}", "x".repeat(2048));
    let line = format!("n.toml:2:7: peer[0].url: found a text (not shown), expected {ADDRESS}");
    for url in ["", "a", "ftp://a", "http://", "http://a:0", "http://a:99999", "http://u:p@a", "http://a?b", &long] {
        assert_eq!(lines_of(&peer(url, "t")), [line.as_str()], "{url}");
    }
}

#[test]
fn a_token_is_not_shown() {
    let line = format!("n.toml:3:9: peer[0].token: found a text (not shown), expected {TOKEN}");
    for token in ["", "my secret", "sécret", &"x".repeat(1025)] {
        assert_eq!(lines_of(&peer("http://a", token)), [line.as_str()], "{token}");
    }
    let missing = [("url", ADDRESS), ("token", TOKEN)]
        .map(|(key, expected)| format!("n.toml:1:1: peer[0].{key}: found nothing, expected {expected}"));
    assert_eq!(lines_of("[[peer]]"), missing);
}

#[test]
fn each_peer_has_an_address_of_its_own_however_it_is_written() {
    for (first, second) in [
        ("http://a", "http://a/"),
        ("http://a/b", "http://A:80/./b/"),
        ("https://a:443", "https://a"),
        ("http://[::1]", "http://[0::1]"),
    ] {
        let line = "n.toml:5:7: peer[1].url: found the url of peer[0], expected one of its own";
        assert_eq!(lines_of(&(peer(first, "t") + &peer(second, "t"))), [line], "{first} {second}");
    }
    for (first, second) in [("http://a", "https://a"), ("http://a", "http://a:81"), ("http://a", "http://a/b")] {
        assert_eq!(lines_of(&(peer(first, "t") + &peer(second, "t"))), [""; 0], "{first} {second}");
    }
}

#[test]
fn peers_are_read_in_their_normal_form() {
    let text = peer("https://Node.example:443/base/", "my-secret") + &peer("http://a", "x");
    let config = parse(&text, &Origin::Embedded, &|_| Err(io::ErrorKind::NotFound.into())).unwrap();
    let urls: Vec<_> = config.peers.iter().map(|peer| peer.url.as_str()).collect();
    assert_eq!(urls, ["https://node.example/base", "http://a"]);
    assert_eq!(config.peers[0].token.expose(), "my-secret");
    assert!(!format!("{config:?}").contains("my-secret"));
}
