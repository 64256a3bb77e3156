use proptest::prelude::*;

use super::*;

/// A line for each series: its name, and its samples to the bit.
fn content(store: &SeriesStore) -> Vec<String> {
    let bits = |series: &Series| series.since(0).map(|(time, value)| (time, value.to_bits())).collect::<Vec<_>>();
    store.iter().map(|(metric, labels, series)| format!("{metric}{{{labels}}} {:?}", bits(series))).collect()
}

fn example() -> SeriesStore {
    let mut store = SeriesStore::new(100, 100);
    for n in 0..50_u64 {
        for metric in ["a_total", "b_seconds"] {
            let labels = Labels::parse(&format!("p=\"{}\",z=\"ä\\n\"", n % 3)).unwrap();
            store.record(1_700_000_000_000 + n * 5_000, metric, &labels, n as f64 * 0.1).unwrap();
        }
    }
    store
}

/// Bytes with a right checksum.
fn sealed(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = [&MARK[..], &[VERSION]].concat();
    bytes.extend(parts.concat());
    let checksum = xxh3_64(&bytes);
    bytes.extend(checksum.to_le_bytes());
    bytes
}

#[test]
fn a_store_comes_back_as_it_was() {
    let store = example();
    let restored = SeriesStore::from_bytes(&store.to_bytes(), 100, 100).unwrap();
    assert_eq!(content(&restored), content(&store));
    assert_eq!(restored.len(), 6);
    let empty = SeriesStore::from_bytes(&SeriesStore::new(1, 1).to_bytes(), 1, 1).unwrap();
    assert!(empty.is_empty());
}

#[test]
fn narrower_bounds_keep_the_newest_samples_and_count_the_series_left_out() {
    let restored = SeriesStore::from_bytes(&example().to_bytes(), 2, 4).unwrap();
    assert_eq!((restored.len(), restored.losses().full), (4, 2));
    let (_, _, series) = restored.iter().next().unwrap();
    let times: Vec<u64> = series.since(0).map(|(time, _)| time - 1_700_000_000_000).collect();
    assert_eq!(times, [45 * 5_000, 48 * 5_000]);
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    let bytes = example().to_bytes();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            assert!(SeriesStore::from_bytes(&damaged, 100, 100).is_err(), "bit {bit} of byte {at}");
        }
        assert!(SeriesStore::from_bytes(&bytes[..at], 100, 100).is_err(), "cut at {at}");
    }
}

#[test]
fn what_is_no_saved_series_is_told_apart() {
    let endless = [0xff; 10];
    let not_a_number: &[u8] = &[1, 1, b'm', 0, 1, 2, 0xff, 0xe1, 0x03];
    for (bytes, expected) in [
        (b"".to_vec(), RestoreError::Foreign),
        (b"hello, world, this is text".to_vec(), RestoreError::Foreign),
        (MARK.to_vec(), RestoreError::Damaged),
        ([&MARK[..], &[2]].concat(), RestoreError::Version { found: 2 }),
        ([&MARK[..], &[VERSION]].concat(), RestoreError::Damaged),
        (sealed(&[]), RestoreError::Malformed { at: 8 }),
        (sealed(&[&[0, 0]]), RestoreError::Malformed { at: 9 }),
        (sealed(&[&[1]]), RestoreError::Malformed { at: 9 }),
        (sealed(&[&endless]), RestoreError::Malformed { at: 18 }),
        (sealed(&[&[1, 9, b'm']]), RestoreError::Malformed { at: 10 }),
        (sealed(&[&[1, 1, 0xff, 0, 1, 2, 0]]), RestoreError::Malformed { at: 10 }),
        (sealed(&[&[1, 1, b'm', 33]]), RestoreError::Malformed { at: 12 }),
        (sealed(&[&[1, 1, b'm', 1, 1, b'1', 1, b'x']]), RestoreError::Malformed { at: 16 }),
        (sealed(&[&[1, 1, b'm', 0, 0]]), RestoreError::Malformed { at: 13 }),
        (sealed(&[&[1, 1, b'm', 0, 2, 2, 0, 1, 0]]), RestoreError::Malformed { at: 17 }),
        (sealed(&[&[1, 1, b'm', 0, 2, 4, 0, 5, 0]]), RestoreError::Malformed { at: 17 }),
        (sealed(&[not_a_number]), RestoreError::Malformed { at: 17 }),
    ] {
        assert_eq!(SeriesStore::from_bytes(&bytes, 10, 10).err(), Some(expected), "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn any_times_and_values_come_back_to_the_bit(
        samples in proptest::collection::vec((any::<u64>(), any::<f64>()), 1..50),
    ) {
        let mut store = SeriesStore::new(50, 1);
        for (now, value) in samples {
            let _ = store.record(now, "m", &Labels::default(), value);
        }
        let restored = SeriesStore::from_bytes(&store.to_bytes(), 50, 1).unwrap();
        prop_assert_eq!(content(&restored), content(&store));
    }

    #[test]
    fn no_bytes_make_it_fall(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(store) = SeriesStore::from_bytes(&sealed(&[&bytes]), 10, 10) {
            prop_assert!(store.len() <= 10);
        }
    }
}
