//! Where processes live that this node does not host.

use crate::glob::Glob;
use crate::ids::ProcessId;

/// Which targets go to which node. The first pattern that matches wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes(Vec<(Glob, String)>);

impl Routes {
    /// Takes pairs of a pattern and the URL of a node, in the order in which they are looked at.
    pub fn new(routes: Vec<(String, String)>) -> Self {
        Self(routes.into_iter().map(|(pattern, url)| (Glob::new(&pattern), url)).collect())
    }

    /// The URL of the node for `target`. What is too long for the id of a process has none.
    pub fn find(&self, target: &str) -> Option<&str> {
        if target.len() > ProcessId::MAX {
            return None;
        }
        self.0.iter().find(|(pattern, _)| pattern.matches(target)).map(|(_, url)| url.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_route_that_matches_wins() {
        let route = |target: &str, url: &str| (target.to_owned(), url.to_owned());
        let routes = Routes::new(vec![route("bank-*", "http://a"), route("*-1", "http://b"), route("*", "http://c")]);
        for (target, url) in [("bank-1", "http://a"), ("shop-1", "http://b"), ("x", "http://c")] {
            assert_eq!(routes.find(target), Some(url), "{target}");
        }
        assert_eq!(routes.find(&"x".repeat(65)), None);
        assert_eq!(Routes::default().find("x"), None);
    }
}
