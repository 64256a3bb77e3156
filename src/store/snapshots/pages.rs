//! A state as pages, and the hashes by which they are compared.

use blake3::Hasher;
use blake3::hazmat::{ChainingValue, HasherExt as _, Mode, merge_subtrees_non_root, merge_subtrees_root};

use crate::ids::BlobHash;

/// The size of a page in bytes. A state's last page may be shorter.
pub(super) const PAGE: usize = 4096;

/// The hash of a page at its place: two states have the same bytes there if they have the same hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageHash(pub(super) [u8; PageHash::LEN]);

impl PageHash {
    /// Its length in bytes.
    pub(super) const LEN: usize = 16;

    /// Stands for a page of zeros, whatever its length.
    pub(super) const ZEROS: Self = Self([0; Self::LEN]);
}

/// What a state's bytes hash to.
#[derive(Debug)]
pub(super) struct Pages {
    /// One for each page.
    pub(super) hashes: Vec<PageHash>,
    /// That of the whole.
    pub(super) whole: BlobHash,
}

impl Pages {
    /// Hashes `state` once for both: the hash of the whole is made from those of the pages, which are nodes of its tree.
    pub(super) fn of(state: &[u8]) -> Self {
        let mut hashes = Vec::with_capacity(state.len().div_ceil(PAGE));
        let mut nodes = Vec::with_capacity(state.len().div_ceil(PAGE));
        for (page, offset) in state.chunks(PAGE).zip((0u64..).step_by(PAGE)) {
            let node = Hasher::new().set_input_offset(offset).update(page).finalize_non_root();
            nodes.push(node);
            hashes.push(if is_zero(page) { PageHash::ZEROS } else { shortened(&node) });
        }
        let whole = match nodes.as_slice() {
            [] | [_] => BlobHash::of(state),
            nodes => {
                let (left, right) = nodes.split_at(left_of(nodes.len()));
                BlobHash(*merge_subtrees_root(&subtree(left), &subtree(right), Mode::Hash).as_bytes())
            }
        };
        Self { hashes, whole }
    }
}

/// How many pages a state of `length` bytes has.
pub(super) fn page_count(length: u64) -> u64 {
    length.div_ceil(PAGE as u64)
}

/// The node above `nodes`.
fn subtree(nodes: &[ChainingValue]) -> ChainingValue {
    match nodes {
        [] => ChainingValue::default(),
        [node] => *node,
        nodes => {
            let (left, right) = nodes.split_at(left_of(nodes.len()));
            merge_subtrees_non_root(&subtree(left), &subtree(right), Mode::Hash)
        }
    }
}

/// How many of `nodes` nodes, two at least, are on the left of the tree: the greatest power of two below their number.
fn left_of(nodes: usize) -> usize {
    nodes.next_power_of_two() / 2
}

fn shortened(node: &ChainingValue) -> PageHash {
    node.first_chunk().map_or(PageHash::ZEROS, |first| PageHash(*first))
}

fn is_zero(page: &[u8]) -> bool {
    // Word by word the compiler makes vector instructions of it.
    let (words, rest) = page.as_chunks::<32>();
    words.iter().all(|word| *word == [0; 32]) && rest.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_hash_of_the_whole_is_that_of_its_bytes(length in 0..20 * PAGE, seed in any::<u8>()) {
            let state: Vec<u8> = (0..length).map(|at| (at / 7) as u8 ^ seed).collect();
            prop_assert_eq!(Pages::of(&state).whole, BlobHash::of(&state));
        }

        #[test]
        fn the_hash_of_a_page_tells_whether_it_is_the_same(
            pages in 1..6usize, at in any::<prop::sample::Index>(), cut in 0..PAGE,
        ) {
            let state = vec![7; pages * PAGE - cut];
            let before = Pages::of(&state).hashes;
            let mut changed = state.clone();
            let at = at.index(state.len());
            changed[at] = 8;
            for (page, (a, b)) in before.iter().zip(&Pages::of(&changed).hashes).enumerate() {
                prop_assert_eq!(a != b, page == at / PAGE);
            }
            let zeros = Pages::of(&vec![0; state.len()]).hashes;
            prop_assert!(zeros.iter().all(|hash| *hash == PageHash::ZEROS) && zeros.len() == pages);
        }
    }
}
