//! What is encoded is decoded, and whatever else comes ends in an error.

use proptest::prelude::*;

use super::decode::decode;
use super::encode::{Encoded, Footing, State, encode};
use super::format::{FormatError, Front, Run};
use super::pages::{PAGE, PageHash, Pages};
use crate::ids::{BlobHash, ProcessId, Slot};

const LIMIT: u64 = 1 << 20;

/// A state of which each page is one of a few.
fn any_state() -> impl Strategy<Value = Vec<u8>> {
    (proptest::collection::vec(0..4u8, 0..12), 0..PAGE).prop_map(|(pages, cut)| {
        let mut state: Vec<u8> = pages.into_iter().flat_map(|byte| [byte; PAGE]).collect();
        state.truncate(state.len().saturating_sub(cut));
        state
    })
}

fn encoded(bytes: &[u8], footing: Option<Footing<'_>>) -> Encoded {
    let (process, pages) = (ProcessId::parse("p").unwrap(), Pages::of(bytes));
    encode(State { process: &process, slot: Slot(7), bytes, pages: &pages }, footing).unwrap()
}

/// The files of `base`, and of `next` on it.
fn chain(base: &[u8], next: &[u8]) -> [Vec<u8>; 2] {
    let full = encoded(base, None);
    let table = Pages::of(base).hashes;
    let delta = encoded(next, Some(Footing { seal: full.seal, table: &table }));
    [full.bytes, delta.bytes]
}

/// A file with this front, sealed as it should be.
fn forged(change: impl Fn(&mut Front)) -> Vec<u8> {
    let whole = encoded(&[3; 3 * PAGE], None).bytes;
    let (mut front, _, payload) = Front::parse(&whole).unwrap();
    change(&mut front);
    [front.sealed().unwrap().0.as_slice(), payload].concat()
}

proptest! {
    #[test]
    fn a_state_comes_back_whole_and_on_another(base in any_state(), next in any_state()) {
        let [full, delta] = chain(&base, &next);
        let first = decode(&full, b"of no account".to_vec(), LIMIT).unwrap();
        prop_assert_eq!(&first, &base);
        prop_assert_eq!(decode(&delta, first, LIMIT).unwrap(), next.clone());
        let mut table = Vec::new();
        for file in [&full, &delta] {
            Front::parse(file).unwrap().0.apply_to(&mut table).unwrap();
        }
        prop_assert_eq!(table, Pages::of(&next).hashes, "the fronts alone tell the hashes");
    }

    #[test]
    fn equal_states_make_equal_files(base in any_state(), next in any_state()) {
        prop_assert_eq!(chain(&base, &next), chain(&base, &next));
    }

    #[test]
    fn a_flipped_bit_and_a_cut_are_always_seen(
        base in any_state(), next in any_state(), at in any::<prop::sample::Index>(), bit in 0..8u8, is_delta in any::<bool>(),
    ) {
        let mut file = chain(&base, &next)[usize::from(is_delta)].clone();
        let at = at.index(file.len());
        prop_assert!(decode(&file[..at], base.clone(), LIMIT).is_err());
        file[at] ^= 1 << bit;
        prop_assert!(decode(&file, base, LIMIT).is_err());
    }

    #[test]
    fn random_bytes_are_errors(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(decode(&bytes, Vec::new(), LIMIT).is_err());
        let headed = [b"mstysnap\x01\0\0\0".as_slice(), &bytes].concat();
        prop_assert!(decode(&headed, Vec::new(), LIMIT).is_err());
    }

    #[test]
    fn a_sealed_front_that_lies_does_no_harm(
        (length, payload, is_based) in (any::<u64>(), any::<u64>(), any::<bool>()),
        is_short in any::<bool>(),
        runs in proptest::collection::vec((any::<u32>(), any::<u32>(), any::<bool>(), any::<bool>()), 0..6),
        hashes in 0..20usize,
        base in any_state(),
    ) {
        let small = |number: u32, is_small: bool| if is_small { number % 4 } else { number };
        let file = forged(|front| {
            front.base = is_based.then_some(front.hash);
            front.length = if is_short { length % (8 * PAGE as u64) } else { length };
            front.payload = if is_short { front.payload } else { payload };
            let run = |&(first, pages, is_zeros, is_small): &(u32, u32, bool, bool)| {
                Run { first: small(first, is_small), pages: small(pages, is_small), is_zeros }
            };
            front.runs = runs.iter().map(run).collect();
            front.hashes = vec![PageHash::ZEROS; hashes];
        });
        if let Ok(state) = decode(&file, base, LIMIT) {
            prop_assert!(state.len() as u64 <= LIMIT);
        }
    }

    #[test]
    fn a_payload_that_is_no_pages_is_an_error(payload in proptest::collection::vec(any::<u8>(), 0..100)) {
        let whole = encoded(&[3; 3 * PAGE], None).bytes;
        let mut front = Front::parse(&whole).unwrap().0;
        (front.payload, front.payload_hash) = (payload.len() as u64, BlobHash::of(&payload));
        let file = [front.sealed().unwrap().0.as_slice(), &payload].concat();
        prop_assert!(decode(&file, Vec::new(), LIMIT).is_err());
    }
}

#[test]
fn each_lie_of_a_front_is_told_by_its_name() {
    let run = |first, pages| Run { first, pages, is_zeros: false };
    let zeros = |first, pages| Run { first, pages, is_zeros: true };
    type Lie = (&'static str, Box<dyn Fn(&mut Front)>);
    let table: Vec<Lie> = vec![
        ("beyond the end", Box::new(|front| front.length = 2 * PAGE as u64)),
        ("differ in number", Box::new(|front| front.hashes.truncate(2))),
        ("out of order", Box::new(move |front| front.runs = vec![run(1, 1), run(0, 2)])),
        ("out of order", Box::new(move |front| front.runs = vec![run(0, 2), run(1, 1)])),
        ("out of order", Box::new(move |front| front.runs = vec![run(0, 3), zeros(3, 0)])),
        ("beyond the end", Box::new(move |front| front.runs = vec![run(u32::MAX - 1, 3)])),
        ("at most 1048576", Box::new(|front| front.length = u64::MAX)),
        ("ends early", Box::new(|front| front.payload += 1)),
        ("checksum", Box::new(|front| front.payload -= 1)),
        ("checksum", Box::new(|front| front.payload_hash = BlobHash([0; 32]))),
        (
            "do not unpack",
            Box::new(move |front| {
                front.length = 4 * PAGE as u64;
                front.runs = vec![run(0, 4)];
                front.hashes.push(PageHash::ZEROS);
            }),
        ),
        (
            "more pages",
            Box::new(move |front| {
                front.runs = vec![run(0, 2)];
                front.hashes.truncate(2);
            }),
        ),
    ];
    for (reason, lie) in table {
        let error = decode(&forged(&lie), Vec::new(), LIMIT).unwrap_err().to_string();
        assert!(error.contains(reason), "{error:?} is not about {reason:?}");
    }
    assert!(decode(&forged(|_| {}), Vec::new(), LIMIT).is_ok());
}

#[test]
fn other_files_and_other_versions_are_told_apart() {
    let mut file = encoded(b"state", None).bytes;
    assert_eq!(decode(b"return 1", Vec::new(), LIMIT), Err(FormatError::Foreign));
    assert_eq!(decode(&[], Vec::new(), LIMIT), Err(FormatError::Foreign));
    file[8] = 2;
    assert_eq!(decode(&file, Vec::new(), LIMIT), Err(FormatError::Version(2)));
}

#[test]
fn zeros_cost_nothing_and_a_changed_page_about_a_page() {
    let zeros = vec![0; 1000 * PAGE];
    assert!(encoded(&zeros, None).bytes.len() < 400);
    let mut noise = vec![0; 1000 * PAGE];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    let mut changed = noise.clone();
    for page in (0..1000).step_by(100) {
        changed[page * PAGE + 17] ^= 1;
    }
    let [full, delta] = chain(&noise, &changed);
    assert!(full.len() > noise.len() && delta.len() < 11 * PAGE, "{} and {}", full.len(), delta.len());
    assert!(chain(&noise, &zeros)[1].len() < 400, "a page that is zeros again costs nothing either");
}

#[test]
fn a_payload_that_unpacks_to_more_than_its_pages_takes_no_room() {
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 1).unwrap();
    let whole = encoded(&[3; PAGE], None).bytes;
    let mut front = Front::parse(&whole).unwrap().0;
    (front.payload, front.payload_hash) = (bomb.len() as u64, BlobHash::of(&bomb));
    let file = [front.sealed().unwrap().0.as_slice(), &bomb].concat();
    assert!(decode(&file, Vec::new(), LIMIT).is_err());
}
