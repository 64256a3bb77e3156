//! An engine that fails on demand, around any other: for tests of whatever stands on the store.
//!
//! A failure poisons the engine as it does in reality: until it is opened again every write fails with nothing written.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::contract::Order;
use super::engine::{Engine, EngineError, EngineOpenError, Occasion, Op, OpenEngine, Opened, Space, Visit};

/// What becomes of one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It succeeds.
    None,
    /// It fails, and nothing of it is there after opening again.
    Before,
    /// It fails, and all of it is there after opening again.
    After,
}

#[derive(Debug, Default)]
struct Script {
    next: VecDeque<Fault>,
    syncs_fail: bool,
    broken: Option<String>,
    reads_fail: bool,
    held: bool,
    waiting: usize,
    generation: u64,
    poisoned: BTreeSet<u64>,
    writes: u64,
    syncs: u64,
    opens: u64,
}

/// The handle by which a test makes things fail. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<(Mutex<Script>, Condvar)>);

impl Faults {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The writes from the next one on meet these fates, one each; those after them succeed.
    pub fn next(&self, fates: impl IntoIterator<Item = Fault>) {
        self.script().next.extend(fates);
    }

    /// From now on writes that ask for a sync fail after they took effect, or no longer do.
    pub fn fail_syncs(&self, fail: bool) {
        self.script().syncs_fail = fail;
    }

    /// Every write and every opening fails with `reason`, until [`Faults::heal`]. Reads go on.
    pub fn break_disk(&self, reason: &str) {
        self.script().broken = Some(reason.to_owned());
    }

    /// Every read fails, or no longer does.
    pub fn fail_reads(&self, fail: bool) {
        self.script().reads_fail = fail;
    }

    /// Nothing fails from now on, once the engine was opened again.
    pub fn heal(&self) {
        let mut script = self.script();
        script.broken = None;
        script.syncs_fail = false;
        script.reads_fail = false;
        script.next.clear();
    }

    /// Writes wait from now on until [`Faults::let_go`].
    pub fn hold(&self) {
        self.script().held = true;
    }

    /// Returns once a write waits because of [`Faults::hold`].
    pub fn wait_until_held(&self) {
        let mut script = self.script();
        while script.waiting == 0 {
            script = self.0.1.wait(script).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Held writes go on.
    pub fn let_go(&self) {
        self.script().held = false;
        self.0.1.notify_all();
    }

    /// How many writes were asked for.
    pub fn writes(&self) -> u64 {
        self.script().writes
    }

    /// How many of them with a sync.
    pub fn syncs(&self) -> u64 {
        self.script().syncs
    }

    /// How often an engine was opened.
    pub fn opens(&self) -> u64 {
        self.script().opens
    }

    /// The fate of a write of the engine of `generation`.
    fn fate(&self, generation: u64, sync: bool) -> Result<Fault, EngineError> {
        let mut script = self.script();
        script.waiting += 1;
        self.0.1.notify_all();
        while script.held {
            script = self.0.1.wait(script).unwrap_or_else(PoisonError::into_inner);
        }
        script.waiting -= 1;
        script.writes += 1;
        script.syncs += u64::from(sync);
        if script.poisoned.contains(&generation) {
            return Err(EngineError::NotWritten("poisoned by an earlier failure".to_owned()));
        }
        let fault = match (script.next.pop_front(), &script.broken) {
            (Some(fault), _) => fault,
            (None, Some(_)) => Fault::Before,
            (None, None) if sync && script.syncs_fail => Fault::After,
            (None, None) => Fault::None,
        };
        if fault != Fault::None {
            script.poisoned.insert(generation);
        }
        Ok(fault)
    }

    fn check_read(&self) -> Result<(), EngineError> {
        if self.script().reads_fail { Err(EngineError::Failed("input/output error".to_owned())) } else { Ok(()) }
    }
}

/// Opens the inner engine with faults around it.
pub struct Faulty {
    inner: Arc<dyn OpenEngine>,
    faults: Faults,
}

impl Faulty {
    /// `inner`, failing as `faults` says.
    pub fn new(inner: Arc<dyn OpenEngine>, faults: Faults) -> Self {
        Self { inner, faults }
    }
}

impl OpenEngine for Faulty {
    fn open(&self, folder: &Path, mark: u64, occasion: Occasion) -> Result<Opened, EngineOpenError> {
        let generation = {
            let mut script = self.faults.script();
            if let Some(reason) = &script.broken {
                return Err(EngineOpenError::Failed(reason.clone()));
            }
            script.opens += 1;
            script.generation += 1;
            script.generation
        };
        let opened = self.inner.open(folder, mark, occasion)?;
        let engine = FaultyEngine { inner: opened.engine, faults: self.faults.clone(), generation };
        Ok(Opened { engine: Box::new(engine), torn_bytes: opened.torn_bytes })
    }

    fn probe(&self, folder: &Path) -> Result<(), String> {
        match self.faults.script().broken.clone() {
            Some(reason) => Err(reason),
            None => self.inner.probe(folder),
        }
    }
}

struct FaultyEngine {
    inner: Box<dyn Engine>,
    faults: Faults,
    generation: u64,
}

impl Engine for FaultyEngine {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.faults.check_read()?;
        self.inner.get(space, key)
    }

    fn range(&self, space: Space, keys: Range<&[u8]>, order: Order, visit: Visit<'_>) -> Result<(), EngineError> {
        self.faults.check_read()?;
        self.inner.range(space, keys, order, visit)
    }

    fn reclaim(&self) -> Result<(), EngineError> {
        self.inner.reclaim()
    }

    fn write(&self, ops: &[Op], sync: bool) -> Result<(), EngineError> {
        let failed = || {
            let reason = self.faults.script().broken.clone();
            EngineError::Failed(reason.unwrap_or_else(|| "input/output error".to_owned()))
        };
        match self.faults.fate(self.generation, sync)? {
            Fault::None => self.inner.write(ops, sync),
            Fault::Before => Err(failed()),
            Fault::After => {
                self.inner.write(ops, sync)?;
                Err(failed())
            }
        }
    }
}
