//! Answers that are given once, whatever happens: nobody who handed something in waits for ever.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::contract::{Claim, CommitResult};

/// What is said where nothing else can be said any more.
pub(super) trait Lost {
    /// The answer of a store that ended before it answered.
    fn lost() -> Self;
}

const LOST: &str = "the store ended before it answered";

impl Lost for CommitResult {
    fn lost() -> Self {
        Self::Unknown(LOST.to_owned())
    }
}

impl Lost for Result<Claim, String> {
    fn lost() -> Self {
        Err(LOST.to_owned())
    }
}

impl Lost for Result<(), String> {
    fn lost() -> Self {
        Err(LOST.to_owned())
    }
}

/// A call that takes the answer. Dropped without one, it is answered [`Lost::lost`].
pub(super) struct Answer<T: Lost>(Option<Box<dyn FnOnce(T) + Send>>);

impl<T: Lost> Answer<T> {
    /// Calls `call` with the answer. It must be quick and must not wait for the store.
    pub(super) fn new(call: impl FnOnce(T) + Send + 'static) -> Self {
        Self(Some(Box::new(call)))
    }

    /// Gives the answer. A panic in the call ends there: the store serves others too.
    pub(super) fn give(mut self, answer: T) {
        self.call(|| answer);
    }

    fn call(&mut self, answer: impl FnOnce() -> T) {
        let Some(call) = self.0.take() else { return };
        if catch_unwind(AssertUnwindSafe(|| call(answer()))).is_err() {
            tracing::error!(target: "store", event = "answer_panicked");
        }
    }
}

impl<T: Lost> Drop for Answer<T> {
    fn drop(&mut self) {
        self.call(T::lost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn it_is_given_exactly_once_and_survives_a_panic() {
        let (sender, receiver) = mpsc::channel();
        let again = sender.clone();
        Answer::new(move |answer| sender.send(answer).unwrap()).give(CommitResult::Committed);
        drop(Answer::new(move |answer: CommitResult| again.send(answer).unwrap()));
        let answers: Vec<_> = receiver.iter().collect();
        assert_eq!(answers, [CommitResult::Committed, CommitResult::lost()]);
        Answer::new(|_: CommitResult| panic!("the caller's fault")).give(CommitResult::Committed);
    }
}
