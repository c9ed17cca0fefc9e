//! What attributes register: tests ([`TestDef`]) and pieces of the graph, collected by the linker.
//!
//! Everything here is plain data and function pointers, so that listing five thousand tests costs
//! no more than walking a table.

use std::any::{TypeId, type_name};
use std::error::Error;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use testjig_vm::Launch;

use crate::context::Context;
use crate::graph::Graph;

/// Every test that was linked into this binary.
#[linkme::distributed_slice]
pub static TESTS: [TestDef];

/// Every piece of the graph that was linked into this binary, see [`crate::graph!`].
#[linkme::distributed_slice]
pub static GRAPHS: [fn(&mut Graph)];

/// A type that stands in the graph or in a test's parameters.
#[derive(Clone, Copy)]
pub struct NodeType {
    id: TypeId,
    name: &'static str,
}

impl NodeType {
    /// The node type of `T`.
    pub fn of<T: 'static>() -> Self {
        Self {
            id: TypeId::of::<T>(),
            name: type_name::<T>(),
        }
    }

    /// The identity of the Rust type.
    pub fn id(self) -> TypeId {
        self.id
    }

    /// The type's name without its path, for people: `Mc146818`.
    pub fn name(self) -> &'static str {
        self.name.rsplit("::").next().unwrap_or(self.name)
    }
}

impl PartialEq for NodeType {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for NodeType {}

impl Hash for NodeType {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl fmt::Debug for NodeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a VMM must be able to do beyond serving registers and memory; a test says what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// The test moves the virtual clock: only QEMU's qtest accelerator lets it.
    Clock,
    /// The machine's time passes by itself: packets and entropy flow.
    Running,
}

/// One dimension of a varied test: `vary(size = [A, B])`.
pub struct Axis {
    /// The parameter's name.
    pub name: &'static str,
    /// One label a value, fit for a test's name.
    pub labels: Vec<String>,
}

/// How a test ends that did not unwind.
pub type Ending = Result<(), Box<dyn Error>>;

/// A registered test, as `#[testjig::test]` writes it down.
pub struct TestDef {
    /// `module_path!()` of the test.
    pub module: &'static str,
    /// The function's name.
    pub name: &'static str,
    /// Its source file, as the compiler names it.
    pub file: &'static str,
    /// Its line in that file.
    pub line: u32,
    /// The interface that it tests.
    pub on: fn() -> NodeType,
    /// The types of its parameters, those that `vary` gives left out.
    pub wants: &'static [fn() -> NodeType],
    /// What the VMM must be able to do.
    pub needs: &'static [Capability],
    /// Its own deadline, where the usual one does not fit.
    pub deadline: Option<Duration>,
    /// Why it is known to fail, and where that is known, if it does.
    pub xfail: Option<&'static str>,
    /// Why it sometimes fails without a cause of the device's, if it does.
    pub unstable: Option<&'static str>,
    /// The dimensions that multiply it.
    pub axes: fn() -> Vec<Axis>,
    /// Adapts the machine's launch; the indices pick one value of each axis.
    pub configure: fn(Launch, &[usize]) -> Launch,
    /// The body.
    pub run: fn(&mut Context, &[usize]) -> Ending,
}

impl TestDef {
    /// The name without the path through the graph: `rtc::reading_c_acknowledges`.
    ///
    /// The crate's own name is left out where there is a module to stand for it.
    pub fn title(&self) -> String {
        match self.module.split_once("::") {
            Some((_, module)) => format!("{module}::{}", self.name),
            None => format!("{}::{}", self.module, self.name),
        }
    }
}

/// What a test function may return.
pub trait TestResult {
    /// The result as the runner takes it.
    ///
    /// # Errors
    /// Whatever the test returned as its error.
    fn into_result(self) -> Ending;
}

impl TestResult for () {
    fn into_result(self) -> Ending {
        Ok(())
    }
}

impl<E: Into<Box<dyn Error>>> TestResult for Result<(), E> {
    fn into_result(self) -> Ending {
        self.map_err(Into::into)
    }
}

/// Used by the attribute: an axis with the labels of its values.
pub fn axis<T: fmt::Debug>(name: &'static str, values: impl IntoIterator<Item = T>) -> Axis {
    Axis {
        name,
        labels: values
            .into_iter()
            .map(|value| label(&format!("{value:?}")))
            .collect(),
    }
}

/// Used by the attribute: the value that a case picked.
pub fn pick<T>(values: impl IntoIterator<Item = T>, index: usize) -> T {
    values
        .into_iter()
        .nth(index)
        .expect("the index comes from counting these very values")
}

/// Used by the attribute: gives the closure of `launch = |l| …` its parameter's type.
pub fn configure(launch: Launch, with: impl FnOnce(Launch) -> Launch) -> Launch {
    with(launch)
}

/// Text made fit for a test's name: no spaces, brackets or quotes, which build systems choke on.
pub fn label(text: &str) -> String {
    let mut label = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '+' | '=') {
            label.push(c);
        } else if c != '"' && !label.ends_with('-') && (c == '-' || !label.is_empty()) {
            label.push('-');
        }
    }
    label.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::label;

    #[test]
    fn labels_hold_nothing_that_a_shell_or_build_system_reads() {
        assert_eq!(label("\"a b\""), "a-b");
        assert_eq!(label("Some(3)"), "Some-3");
        assert_eq!(label("Point { x: -1, y: 2 }"), "Point-x-1-y-2");
        assert_eq!(
            label("base=2011-03-27T01:02:03"),
            "base=2011-03-27T01-02-03"
        );
    }
}
