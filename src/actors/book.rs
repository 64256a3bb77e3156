//! The series of the node, shared by the collector that records them and by those who look at them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Millis;
use crate::stats::{Labels, Sample, Selector, SeriesStore};

/// So many samples are copied while the book is open, and those of one series more at most.
const COPIED: usize = 4096;

/// The series of the node. Cheap to clone. Whoever looks copies out what it looks at, and reckons without the lock.
#[derive(Clone, Debug)]
pub struct Book(Arc<Mutex<SeriesStore>>);

impl Book {
    /// A book of these series.
    pub fn new(series: SeriesStore) -> Self {
        Self(Arc::new(Mutex::new(series)))
    }

    /// The series, for as long as the guard lives. Not to be held across an await.
    pub fn open(&self) -> MutexGuard<'_, SeriesStore> {
        // Each step leaves the series whole, whoever died between two.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The samples at or after `since` of every series of `metric` that fits.
    pub fn select(&self, metric: &str, selector: &Selector, since: Millis) -> Vec<(Labels, Vec<Sample>)> {
        self.reckon(metric, selector, since, <[Sample]>::to_vec)
    }

    /// What `of` makes of the samples at or after `since` of every series of `metric` that fits, in the order of their
    /// labels. The book is opened for a few series at a time, so that nobody waits long for it.
    pub fn reckon<T>(
        &self,
        metric: &str,
        selector: &Selector,
        since: Millis,
        of: impl Fn(&[Sample]) -> T,
    ) -> Vec<(Labels, T)> {
        let mut reckoned: Vec<(Labels, T)> = Vec::new();
        loop {
            let after = reckoned.last().map(|(labels, _)| labels);
            let mut copied = 0;
            let few: Vec<(Labels, Vec<Sample>)> = {
                let series = self.open();
                let rest = series.select_after(metric, selector, since, after);
                let few = rest.take_while(|(_, samples)| {
                    let has_room = copied < COPIED;
                    copied += samples.len();
                    has_room
                });
                few.map(|(labels, samples)| (labels.clone(), samples)).collect()
            };
            if few.is_empty() {
                return reckoned;
            }
            reckoned.extend(few.into_iter().map(|(labels, samples)| (labels, of(&samples))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_series_at_a_time_are_all_of_them() {
        let mut series = SeriesStore::new(1_000, 1_000);
        for number in 0..100 {
            let labels = Labels::parse(&format!("at=\"{number:03}\",half=\"{}\"", number % 2)).unwrap();
            for time in 0..500 {
                series.record(time, "load", &labels, number as f64).unwrap();
            }
        }
        let expected = |selector: &Selector, since| -> Vec<(Labels, Vec<Sample>)> {
            series.select("load", selector, since).map(|(labels, samples)| (labels.clone(), samples)).collect()
        };
        let half = Selector::parse("half=\"1\"").unwrap();
        let all = expected(&Selector::default(), 0);
        assert_eq!(all.len(), 100);
        let (some, none) = (expected(&half, 400), expected(&half, 500));
        assert_eq!((some.len(), none.len()), (50, 0));
        let book = Book::new(series);
        assert_eq!(book.select("load", &Selector::default(), 0), all);
        assert_eq!(book.select("load", &half, 400), some);
        assert_eq!(book.select("load", &half, 500), none);
        assert_eq!(book.select("other", &half, 0), none);
    }
}
