//! Which host processes are told of.

use super::process::{HostEvent, HostPid, HostProcess};
use super::{EventKind, Text};
use crate::glob::Glob;

/// Which processes pass. The empty filter, the default, passes all but the kernel's threads.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Names that pass; all where there are none.
    pub include: Vec<Glob>,
    /// Names that don't, even if included.
    pub exclude: Vec<Glob>,
    /// Real users whose processes pass; all where there are none.
    pub uids: Vec<u32>,
    /// Parents whose children pass; all where there are none.
    pub parents: Vec<HostPid>,
    /// Whether threads of the kernel pass.
    pub kernel_threads: bool,
}

impl Filter {
    /// Whether a process passes under its present name.
    pub fn passes(&self, process: &HostProcess) -> bool {
        self.passes_as(process, &process.name)
    }

    /// Whether an event passes. A change of name does if either name would.
    pub fn passes_event(&self, event: &HostEvent) -> bool {
        let before = match &event.kind {
            EventKind::Renamed { from } => self.passes_as(&event.process, from),
            EventKind::Created { .. } | EventKind::Destroyed(_) => false,
        };
        before || self.passes(&event.process)
    }

    fn passes_as(&self, process: &HostProcess, name: &Text) -> bool {
        let has_name = |globs: &[Glob]| globs.iter().any(|glob| glob.matches(name.as_str()));
        (self.kernel_threads || !process.kernel)
            && (self.include.is_empty() || has_name(&self.include))
            && !has_name(&self.exclude)
            && (self.uids.is_empty() || process.uid.is_some_and(|uid| self.uids.contains(&uid)))
            && (self.parents.is_empty() || process.ppid.is_some_and(|ppid| self.parents.contains(&ppid)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::NameSource;

    fn process(name: &str) -> HostProcess {
        HostProcess {
            pid: HostPid(10),
            ppid: Some(HostPid(1)),
            name: name.into(),
            name_source: NameSource::Comm,
            exe: None,
            uid: Some(1000),
            start_time: None,
            kernel: false,
        }
    }

    #[test]
    fn each_condition_can_refuse() {
        let globs = |names: &[&str]| names.iter().map(|name| Glob::new(name)).collect::<Vec<_>>();
        let kernel = HostProcess { kernel: true, ..process("kworker") };
        let nobody = HostProcess { uid: None, ppid: None, ..process("sh") };
        let all = Filter::default;
        for (filter, process, passes) in [
            (all(), process("sh"), true),
            (all(), kernel.clone(), false),
            (Filter { kernel_threads: true, ..all() }, kernel, true),
            (Filter { include: globs(&["b*", "s?"]), ..all() }, process("sh"), true),
            (Filter { include: globs(&["b*"]), ..all() }, process("sh"), false),
            (Filter { include: globs(&["*"]), exclude: globs(&["sh"]), ..all() }, process("sh"), false),
            (Filter { uids: vec![0, 1000], ..all() }, process("sh"), true),
            (Filter { uids: vec![0], ..all() }, process("sh"), false),
            (Filter { uids: vec![0], ..all() }, nobody.clone(), false),
            (Filter { parents: vec![HostPid(1)], ..all() }, process("sh"), true),
            (Filter { parents: vec![HostPid(2)], ..all() }, process("sh"), false),
            (Filter { parents: vec![HostPid(2)], ..all() }, nobody, false),
        ] {
            assert_eq!(filter.passes(&process), passes, "{filter:?} {process:?}");
        }
    }

    #[test]
    fn a_change_of_name_passes_by_either_name() {
        let filter = Filter { include: vec![Glob::new("sh")], ..Filter::default() };
        for (from, to, passes) in [("sh", "true", true), ("true", "sh", true), ("a", "b", false)] {
            let kind = EventKind::Renamed { from: from.into() };
            let event = HostEvent { kind, process: process(to), latency: None };
            assert_eq!(filter.passes_event(&event), passes, "{from} to {to}");
        }
    }
}
