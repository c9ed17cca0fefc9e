//! [`Tree`]: the graph spread out from its machines, with the tests on each interface and what is out of reach.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

use testjig_vm::{Arch, Launch};

use super::{Graph, Path};
use crate::case::{Cases, lacks};
use crate::qemus::Qemus;
use crate::registry::NodeType;

/// One place on a path: a machine, or what an edge gives.
#[derive(Clone, Debug)]
pub struct Branch {
    /// The machine's identity, or the edge's label.
    pub label: String,
    /// The type that is given here.
    pub gives: NodeType,
    /// How many tests are on this interface by this path.
    pub tests: usize,
    /// How many cases they make here.
    pub cases: usize,
    /// Why no test can get here with the QEMU at hand; `None` if one can, or if there is nothing to tell it from.
    pub unreachable: Option<String>,
    /// What sits on it.
    pub children: Vec<Branch>,
}

/// All machines with what sits on them.
#[derive(Clone, Debug)]
pub struct Tree {
    /// One root a machine, in the order of registration.
    pub machines: Vec<Branch>,
    /// What is not known for want of a probed QEMU, one line an architecture.
    pub unknown: Vec<String>,
}

/// The titles of the tests at the end of each path, and how many cases they make.
type Counts = HashMap<Path, (BTreeSet<String>, usize)>;

impl Graph {
    /// The architectures of all machines.
    pub fn archs(&self) -> BTreeSet<Arch> {
        self.machines
            .iter()
            .map(|machine| machine.kind.arch)
            .collect()
    }

    /// The launch of every path to every interface, for whoever wants to know which QEMU can do them.
    pub fn launches(&self) -> Vec<Launch> {
        let mut launches = Vec::new();
        self.each_path(&mut |path| launches.push(self.launch(path)));
        launches
    }

    fn each_path(&self, visit: &mut dyn FnMut(&Path)) {
        for machine in 0..self.machines.len() {
            self.each_path_from(
                &Path {
                    machine,
                    edges: Vec::new(),
                },
                visit,
            );
        }
    }

    fn each_path_from(&self, path: &Path, visit: &mut dyn FnMut(&Path)) {
        visit(path);
        for longer in self.one_longer(path) {
            self.each_path_from(&longer, visit);
        }
    }

    /// The paths that go one edge further, none of which meets a type twice.
    fn one_longer(&self, path: &Path) -> Vec<Path> {
        let nodes: Vec<NodeType> = self.nodes(path).collect();
        let end = *nodes.last().expect("a path begins with a machine");
        let fits = |edge: &super::Edge| edge.from == end && !nodes.contains(&edge.to);
        let edges = self.edges.iter().enumerate();
        edges
            .filter(|(_, edge)| fits(edge))
            .map(|(index, _)| {
                let mut longer = path.clone();
                longer.edges.push(index);
                longer
            })
            .collect()
    }

    /// The graph spread out, judged by these QEMUs.
    pub fn tree(&self, cases: &Cases, qemus: &Qemus) -> Tree {
        let mut counts = Counts::new();
        for case in &cases.cases {
            let (tests, count) = counts.entry(case.path.clone()).or_default();
            tests.insert(case.test.title());
            *count += 1;
        }
        let unknown = self.archs().into_iter().filter_map(|arch| {
            let reason = qemus.get(arch).err()?;
            Some(format!("{arch}: {reason}"))
        });
        let machines = (0..self.machines.len()).map(|machine| {
            let path = Path {
                machine,
                edges: Vec::new(),
            };
            self.branch(&path, &counts, qemus)
        });
        Tree {
            machines: machines.collect(),
            unknown: unknown.collect(),
        }
    }

    fn branch(&self, path: &Path, counts: &Counts, qemus: &Qemus) -> Branch {
        let launch = self.launch(path);
        let qemu = qemus.get(launch.machine().arch).ok();
        let (tests, cases) = counts
            .get(path)
            .map_or((0, 0), |(tests, cases)| (tests.len(), *cases));
        Branch {
            label: match path.edges.last() {
                Some(&edge) => self.edges[edge].label.to_owned(),
                None => self.id(path),
            },
            gives: self.nodes(path).last().expect("a path has a machine"),
            tests,
            cases,
            unreachable: qemu.and_then(|qemu| lacks(qemu, &launch)),
            children: self
                .one_longer(path)
                .iter()
                .map(|longer| self.branch(longer, counts, qemus))
                .collect(),
        }
    }
}

impl Branch {
    /// `12 tests, 40 cases`; empty if there are none.
    pub(super) fn counted(&self) -> String {
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        if self.cases == 0 {
            return String::new();
        }
        let (tests, cases) = (self.tests, self.cases);
        format!(
            "{tests} test{}, {cases} case{}",
            plural(tests),
            plural(cases)
        )
    }

    fn text(&self, text: &mut String, first: &str, rest: &str) {
        let _ = write!(text, "{first}{} · {}", self.label, self.gives.name());
        let counted = self.counted();
        if !counted.is_empty() {
            let _ = write!(text, "   {counted}");
        }
        if let Some(reason) = &self.unreachable {
            let _ = write!(text, "   out of reach: {reason}");
        }
        text.push('\n');
        for (index, child) in self.children.iter().enumerate() {
            if index + 1 == self.children.len() {
                child.text(text, &format!("{rest}└─ "), &format!("{rest}   "));
            } else {
                child.text(text, &format!("{rest}├─ "), &format!("{rest}│  "));
            }
        }
    }
}

impl Tree {
    /// One line a place: label, type, how many tests, and why it is out of reach.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for machine in &self.machines {
            machine.text(&mut text, "", "");
        }
        for line in &self.unknown {
            let _ = writeln!(text, "not known: {line}");
        }
        text
    }

    /// A picture for Graphviz, left to right; what is out of reach is dashed and says why.
    pub fn dot(&self) -> String {
        let mut dot = String::from(
            "digraph testjig {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\", fontsize=11];\n",
        );
        let mut next = 0;
        for machine in &self.machines {
            machine.dot(&mut dot, &mut next);
        }
        dot.push_str("}\n");
        dot
    }
}

impl Branch {
    /// Writes this node and what sits on it; returns its number.
    fn dot(&self, dot: &mut String, next: &mut usize) -> usize {
        let own = *next;
        *next += 1;
        let lines = [
            self.label.clone(),
            self.gives.name().to_owned(),
            self.counted(),
            self.unreachable.clone().unwrap_or_default(),
        ];
        let label: Vec<String> = lines
            .iter()
            .filter(|line| !line.is_empty())
            .map(|line| line.replace('\\', "\\\\").replace('"', "\\\""))
            .collect();
        let style = if self.unreachable.is_some() {
            ", style=dashed, color=gray50, fontcolor=gray30"
        } else {
            ""
        };
        let _ = writeln!(dot, "  n{own} [label=\"{}\"{style}];", label.join("\\n"));
        for child in &self.children {
            let to = child.dot(dot, next);
            let style = if child.unreachable.is_some() {
                " [style=dashed, color=gray50]"
            } else {
                ""
            };
            let _ = writeln!(dot, "  n{own} -> n{to}{style};");
        }
        own
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    struct Bus;
    struct Card;

    fn branch(label: &str, unreachable: Option<&str>, children: Vec<Branch>) -> Branch {
        Branch {
            label: label.to_owned(),
            gives: if children.is_empty() {
                NodeType::of::<Card>()
            } else {
                NodeType::of::<Bus>()
            },
            tests: 1,
            cases: usize::from(children.is_empty()) * 2,
            unreachable: unreachable.map(str::to_owned),
            children,
        }
    }

    pub(crate) fn tree() -> Tree {
        let cards = vec![
            branch("edu", None, Vec::new()),
            branch(
                "\"odd\" <card>",
                Some("this QEMU has no device odd"),
                Vec::new(),
            ),
        ];
        Tree {
            machines: vec![branch("x86_64/pc", None, cards)],
            unknown: vec!["riscv64: never probed".to_owned()],
        }
    }

    #[test]
    fn the_text_is_a_tree_with_reasons() {
        assert_eq!(
            tree().text(),
            "x86_64/pc · Bus\n\
             ├─ edu · Card   1 test, 2 cases\n\
             └─ \"odd\" <card> · Card   1 test, 2 cases   out of reach: this QEMU has no device odd\n\
             not known: riscv64: never probed\n"
        );
    }

    #[test]
    fn the_picture_for_graphviz_has_every_node_and_edge_and_escapes_labels() {
        let dot = tree().dot();
        assert!(dot.contains("n0 [label=\"x86_64/pc\\nBus\"];"), "{dot}");
        assert!(dot.contains("n0 -> n1;"), "{dot}");
        assert!(dot.contains("n0 -> n2 [style=dashed"), "{dot}");
        assert!(dot.contains("\\\"odd\\\" <card>"), "{dot}");
        assert_eq!(dot.matches('{').count(), dot.matches('}').count());
    }

    /// What is linked into this crate's own tests: each path is visited once, and no type twice on it.
    #[test]
    fn every_path_of_the_graph_is_in_the_tree_once() {
        let graph = Graph::get();
        let mut paths = std::collections::HashSet::new();
        let mut ids = BTreeSet::new();
        graph.each_path(&mut |path| {
            assert!(paths.insert(path.clone()), "{} twice", graph.id(path));
            ids.insert(graph.id(path));
            let nodes: Vec<NodeType> = graph.nodes(path).collect();
            let distinct: std::collections::HashSet<_> = nodes.iter().collect();
            assert_eq!(nodes.len(), distinct.len(), "{}", graph.id(path));
        });
        assert!(ids.contains("x86_64/pc/pci.0"), "{ids:?}");
        assert_eq!(graph.launches().len(), paths.len());
    }
}
