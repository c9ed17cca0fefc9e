//! Cases: a test on one path through the graph, with one value of each of its axes.

use std::collections::{BTreeMap, HashMap, HashSet};

use testjig_vm::{Arch, Launch, Qemu, Vm};

use crate::find;
use crate::graph::{Graph, Path};
use crate::registry::{Capability, NodeType, TESTS, TestDef};

/// One case: what the runner runs, reports and names.
#[derive(Clone)]
pub struct Case {
    /// Its stable name: `rtc::reading_c_acknowledges@x86_64/pc/mc146818rtc`.
    pub name: String,
    /// The test.
    pub test: &'static TestDef,
    /// The way to the interface under test.
    pub path: Path,
    /// The picked value of each axis.
    pub picked: Vec<usize>,
}

/// What became of the decision whether a case can run on the QEMU at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It can.
    Run,
    /// It can't, and why.
    Skip(String),
}

/// A registered test that can never run as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The test's title.
    pub test: String,
    /// Where it stands.
    pub place: String,
    /// What is wrong, and what to do.
    pub problem: String,
}

/// All cases of this binary, and the tests that make none.
pub struct Cases {
    /// The cases, sorted by name.
    pub cases: Vec<Case>,
    /// Tests on something that nothing gives.
    pub misfits: Vec<Misfit>,
}

impl Cases {
    /// Enumerates the graph; starts nothing.
    pub fn collect() -> Self {
        let graph = Graph::get();
        let mut by_name = BTreeMap::new();
        let mut misfits = Vec::new();
        // Many tests are on the same thing.
        let mut paths: HashMap<NodeType, Vec<Path>> = HashMap::new();
        for test in TESTS {
            let on = (test.on)();
            let paths = paths.entry(on).or_insert_with(|| graph.paths_to(on));
            let cases = cases_of(test, graph, paths);
            if let Err(problem) = &cases {
                misfits.push(misfit(test, problem.clone()));
            }
            for case in cases.into_iter().flatten() {
                let name = case.name.clone();
                if by_name.insert(name.clone(), case).is_some() {
                    misfits.push(misfit(
                        test,
                        format!("two cases are named {name}: rename one of the tests"),
                    ));
                }
            }
        }
        Self {
            cases: by_name.into_values().collect(),
            misfits,
        }
    }
}

fn misfit(test: &TestDef, problem: String) -> Misfit {
    Misfit {
        test: test.title(),
        place: format!("{}:{}", test.file, test.line),
        problem,
    }
}

fn cases_of(test: &'static TestDef, graph: &Graph, paths: &[Path]) -> Result<Vec<Case>, String> {
    let on = (test.on)();
    if paths.is_empty() {
        return Err(format!(
            "no machine gives {on:?}: register one with `testjig::graph!`"
        ));
    }
    let axes = (test.axes)();
    if let Some(axis) = axes.iter().find(|axis| axis.labels.is_empty()) {
        return Err(format!("`vary({} = …)` has no values", axis.name));
    }
    let combinations = axes.iter().fold(vec![Vec::new()], |combinations, axis| {
        combinations
            .iter()
            .flat_map(|picked: &Vec<usize>| {
                (0..axis.labels.len()).map(|value| {
                    let mut longer = picked.clone();
                    longer.push(value);
                    longer
                })
            })
            .collect()
    });
    let mut cases = Vec::with_capacity(paths.len() * combinations.len());
    for path in paths {
        let given: HashSet<NodeType> = graph.nodes(path).chain(always_given()).collect();
        for want in test.wants.iter().map(|want| want()) {
            if !given.contains(&want) {
                return Err(format!(
                    "the parameter of type {want:?} is not on the path {}",
                    graph.id(path)
                ));
            }
        }
        for picked in &combinations {
            let mut name = format!("{}@{}", test.title(), graph.id(path));
            for (axis, &value) in axes.iter().zip(picked) {
                name.push('/');
                name.push_str(&axis.labels[value]);
            }
            cases.push(Case {
                name,
                test,
                path: path.clone(),
                picked: picked.clone(),
            });
        }
    }
    Ok(cases)
}

/// What every test may have as a parameter, whatever its path.
fn always_given() -> [NodeType; 3] {
    [
        NodeType::of::<Vm>(),
        NodeType::of::<Qemu>(),
        NodeType::of::<Launch>(),
    ]
}

impl Case {
    /// The launch of this case.
    pub fn launch(&self) -> Launch {
        (self.test.configure)(Graph::get().launch(&self.path), &self.picked)
    }

    /// Whether the test has a machine started for it; one that takes only the [`Launch`] and the [`Qemu`] starts its own.
    pub fn wants_vm(&self) -> bool {
        let without = [NodeType::of::<Qemu>(), NodeType::of::<Launch>()];
        let mut wants = self.test.wants.iter().map(|want| want()).peekable();
        wants.peek().is_none() || wants.any(|want| !without.contains(&want))
    }

    /// The architecture of its machine.
    pub fn arch(&self) -> Arch {
        Graph::get().machine_of(&self.path).arch
    }

    /// The path's identity.
    pub fn path_id(&self) -> String {
        Graph::get().id(&self.path)
    }

    /// Whether `qemu` can run this case, told from its probe alone.
    pub fn decide(&self, qemu: &Qemu) -> Decision {
        let launch = self.launch();
        let capabilities = &qemu.caps;
        if let Some(lack) = lacks_machine(qemu, &launch) {
            return Decision::Skip(lack);
        }
        for need in self.test.needs {
            let (has, what) = match need {
                Capability::Clock => (
                    capabilities.clock,
                    "this QEMU has no qtest accelerator, so its virtual clock can't be moved",
                ),
                Capability::Running if qemu.is_embedded() => (
                    capabilities.running,
                    "the embedded machine stands still between a test's steps",
                ),
                Capability::Running => (
                    capabilities.running,
                    "this QEMU has no qtest accelerator, so its machine stands still",
                ),
            };
            if !has {
                return Decision::Skip(what.to_owned());
            }
        }
        if let Some(lack) = lacks_device(qemu, &launch) {
            return Decision::Skip(lack);
        }
        if qemu.is_embedded() {
            // It has few devices, so what a path needs is looked at too; slots and buses are no devices.
            let path = self.path_id();
            let devices = path
                .split('/')
                .skip(2)
                .filter(|label| !label.starts_with("pci."));
            for device in devices {
                if !capabilities.devices.contains(device) {
                    return Decision::Skip(format!("{} has no device {device}", qemu.called()));
                }
            }
        }
        Decision::Run
    }
}

/// What a QEMU lacks for a launch, told from its probe alone: the machine, a device, or a property of one.
pub fn lacks(qemu: &Qemu, launch: &Launch) -> Option<String> {
    lacks_machine(qemu, launch).or_else(|| lacks_device(qemu, launch))
}

fn lacks_machine(qemu: &Qemu, launch: &Launch) -> Option<String> {
    let name = launch.machine().name;
    (!qemu.caps.machines.contains(name)).then(|| format!("{} has no machine {name}", qemu.called()))
}

fn lacks_device(qemu: &Qemu, launch: &Launch) -> Option<String> {
    launch.devices().iter().find_map(|device| {
        let driver = device.driver();
        if !qemu.caps.devices.contains(driver) {
            return Some(format!("{} has no device {driver}", qemu.called()));
        }
        let known = qemu.caps.properties.get(driver)?;
        let names = device.props().iter().map(|(name, _)| name.as_str());
        let mut set = names.filter(|name| find::is_property(name));
        let name = set.find(|&name| !known.contains(name))?;
        Some(format!(
            "the {driver} of {} has no property {name}",
            qemu.called()
        ))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use testjig_vm::{Device, machine};

    use super::*;

    /// A QEMU that was probed, with one machine, one device, and that device's properties.
    fn probed() -> Qemu {
        let qemu = json!({
            "arch": "x86_64", "origin": "Path", "program": "/q", "leading_args": [], "env": [],
            "version": {"qemu": {"major": 11, "minor": 1, "micro": 3}, "package": ""},
            "passed_over": [], "subject": "/q",
            "caps": {
                "clock": true, "running": true, "qtest_accel": true, "monitor_qmp_object": true,
                "machines": ["pc"], "ram_ids": {}, "devices": ["edu", "pci-testdev"], "objects": [],
                "properties": {"pci-testdev": ["addr", "membar"]},
            },
        });
        serde_json::from_value(qemu).expect("what a worker is told")
    }

    #[test]
    fn what_a_qemu_lacks_is_told_from_its_probe() {
        let lack = |launch| lacks(&probed(), &launch);
        let pc = || Launch::new(&machine::PC);
        let testdev = || Device::new("pci-testdev").id("t").bus("pci.0");
        assert_eq!(
            lack(Launch::new(&machine::Q35)).unwrap(),
            "this QEMU has no machine q35"
        );
        assert_eq!(
            lack(pc().device(Device::new("nvme"))).unwrap(),
            "this QEMU has no device nvme"
        );
        assert_eq!(
            lack(pc().device(testdev().prop("membar-backed", "on"))).unwrap(),
            "the pci-testdev of this QEMU has no property membar-backed"
        );
        assert_eq!(lack(pc().device(testdev().prop("membar", 4096))), None);
        assert_eq!(
            lack(pc().device(Device::new("edu").prop("whatever", 1))),
            None,
            "its properties are not known"
        );
    }
}
