//! The groups that a request came through.

use std::fmt;
use std::sync::Arc;

use crate::ids::{GroupName, IdError};

/// The groups that a request came through, outermost first: each of them waits for the answer. Cheap to clone. As text the
/// names stand with a comma between them, which is what the header `Mainstay-Chain` carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain(Arc<[GroupName]>);

/// Why a text is no chain, or why a chain cannot grow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// One of its names is none.
    #[error("the chain of groups is a list of names with commas between them: {0}")]
    Name(#[from] IdError),
    /// It holds more names than a chain may.
    #[error("the request came through more than {} groups; let fewer groups ask each other", Chain::MAX)]
    TooLong,
}

impl Chain {
    /// The most groups that a request can come through.
    pub const MAX: usize = 64;

    /// The header in which a request says through which groups it came.
    pub const HEADER: &str = "Mainstay-Chain";

    /// Takes `header` as a chain. Blanks around names are allowed; an empty text is the empty chain.
    pub fn parse(header: &str) -> Result<Self, ChainError> {
        if header.trim().is_empty() {
            return Ok(Self::default());
        }
        let mut groups = Vec::new();
        for name in header.split(',') {
            if groups.len() == Self::MAX {
                return Err(ChainError::TooLong);
            }
            groups.push(GroupName::parse(name.trim())?);
        }
        Ok(Self(groups.into()))
    }

    /// Whether the request came straight from its sender.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the request came through `group`.
    pub fn contains(&self, group: &GroupName) -> bool {
        self.0.contains(group)
    }

    /// The groups, outermost first.
    pub fn groups(&self) -> &[GroupName] {
        &self.0
    }

    /// The chain of what `group` asks for on behalf of the request.
    pub fn then(&self, group: &GroupName) -> Result<Self, ChainError> {
        if self.0.len() >= Self::MAX {
            return Err(ChainError::TooLong);
        }
        Ok(Self(self.0.iter().chain([group]).cloned().collect()))
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, group) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str(",")?;
            }
            group.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ProcessId;
    use proptest::prelude::*;

    fn name(text: &str) -> GroupName {
        GroupName::parse(text).unwrap()
    }

    #[test]
    fn names_stand_between_commas_and_blanks_do_not_count() {
        for (header, groups) in [
            ("", vec![]),
            ("  \t", vec![]),
            ("a", vec!["a"]),
            (" a ,b,\tc ", vec!["a", "b", "c"]),
            ("a,a", vec!["a", "a"]),
        ] {
            let chain = Chain::parse(header).unwrap();
            assert_eq!(chain.groups(), groups.iter().map(|text| name(text)).collect::<Vec<_>>(), "{header:?}");
            assert_eq!(chain.is_empty(), groups.is_empty(), "{header:?}");
        }
    }

    #[test]
    fn a_bad_name_is_named() {
        for (header, bad) in
            [(",", "\"\""), ("a,", "\"\""), ("a,b c", "\"b c\""), ("a,b~x,c", "\"b~x\""), ("ä", "\"ä\"")]
        {
            let error = Chain::parse(header).unwrap_err();
            assert!(matches!(error, ChainError::Name(_)) && error.to_string().contains(bad), "{header:?}: {error}");
        }
    }

    #[test]
    fn a_chain_has_an_end() {
        let header = vec!["a"; Chain::MAX].join(",");
        let longest = Chain::parse(&header).unwrap();
        assert_eq!(longest.then(&name("a")), Err(ChainError::TooLong));
        assert_eq!(Chain::parse(&format!("{header},a")), Err(ChainError::TooLong));
        assert!(ChainError::TooLong.to_string().contains("64"));
    }

    #[test]
    fn the_last_to_ask_is_innermost() {
        let chain = Chain::default().then(&name("outer")).unwrap().then(&name("inner")).unwrap();
        assert_eq!(chain.groups(), [name("outer"), name("inner")]);
        assert!(chain.contains(&name("outer")) && !chain.contains(&name("other")));
    }

    proptest! {
        #[test]
        fn a_chain_survives_its_text(parts in prop::collection::vec(("[A-Za-z0-9_-]{1,64}", any::<Option<[u8; 32]>>()), 0..=Chain::MAX)) {
            let groups = parts.iter().map(|(process, hash)| {
                let process = ProcessId::parse(process).unwrap();
                hash.map_or_else(|| GroupName::of_process(&process), |hash| GroupName::hashed(&process, &hash))
            });
            let chain = groups.fold(Chain::default(), |chain, group| chain.then(&group).unwrap());
            prop_assert_eq!(Chain::parse(&chain.to_string()), Ok(chain));
        }

        #[test]
        fn any_text_is_a_chain_or_an_error(text in "[a-c~, ]{0,12}|.{0,200}") {
            if let Ok(chain) = Chain::parse(&text) {
                prop_assert_eq!(Chain::parse(&chain.to_string()), Ok(chain));
            }
        }
    }
}
