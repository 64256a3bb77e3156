//! Calls of devices, which may panic.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Call, Device, DeviceError};
use crate::process::{Cause, Outcome};

/// Does something with a device. The error is the text of a panic, after which nobody knows what the device holds.
pub(super) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        format!("panic: {}", text.as_deref().unwrap_or("the device gave no reason"))
    })
}

/// Calls the device. A panic is an outcome.
pub(super) fn guarded(call: impl FnOnce() -> Result<Call, DeviceError>) -> Result<Call, DeviceError> {
    caught(call).unwrap_or_else(|panic| Ok(Call::Done(Cause::Panic, Outcome::failed(panic, 0))))
}

/// Drops a device. One that panicked may panic again when it is dropped.
pub(super) fn discard(device: Option<Box<dyn Device>>) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(device)));
}
