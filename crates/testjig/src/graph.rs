//! The graph: machines, the interfaces they have, the drivers that sit on those and give further ones.
//!
//! A node is a type; an edge is a function from the parent's value to the child's, so the compiler checks what fits where. A test
//! names the type it wants, and every path from a machine to that type is a case of its own.
//!
//! ```
//! use testjig::prelude::*;
//! use testjig::qos::bus::Pio;
//!
//! /// The debug console that SeaBIOS writes to: one port.
//! struct DebugConsole(Pio);
//!
//! testjig::graph!(|graph| {
//!     graph
//!         .edge("isa-debugcon", |pc: &Pc| DebugConsole(Pio::new(pc.vm(), 0xe9)))
//!         .launch(|launch| launch.device(Device::new("isa-debugcon").prop("iobase", "0xe9")));
//! });
//! # fn main() {}
//! ```

mod svg;
mod tree;

use std::any::Any;
use std::collections::HashMap;
use std::sync::OnceLock;

use testjig_qos::describe::Describe;
use testjig_vm::{Launch, MachineType, Vm};

use crate::context::Context;
use crate::registry::{GRAPHS, NodeType};

pub use self::tree::{Branch, Tree};

type Adapt = Box<dyn Fn(Launch) -> Launch + Send + Sync>;
type Build = Box<dyn Fn(&dyn Any) -> Box<dyn Any> + Send + Sync>;
type BuildMachine = Box<dyn Fn(&Vm) -> Box<dyn Any> + Send + Sync>;
type Decoder = fn() -> Box<dyn Describe>;

/// Registers a piece of the graph: `testjig::graph!(|graph| { … })`, with a [`Graph`] to add machines and edges to.
#[macro_export]
macro_rules! graph {
    ($piece:expr) => {
        const _: () = {
            #[$crate::__private::linkme::distributed_slice($crate::__private::GRAPHS)]
            #[linkme(crate = $crate::__private::linkme)]
            static PIECE: fn(&mut $crate::graph::Graph) = $piece;
        };
    };
}

/// All machines and edges that were registered.
#[derive(Default)]
pub struct Graph {
    machines: Vec<Machine>,
    edges: Vec<Edge>,
}

struct Machine {
    kind: &'static MachineType,
    gives: NodeType,
    build: BuildMachine,
}

/// One step from an interface to the next.
pub struct Edge {
    label: &'static str,
    from: NodeType,
    to: NodeType,
    build: Build,
    adapt: Option<Adapt>,
    decoder: Option<Decoder>,
}

impl Edge {
    /// What the launch needs for this edge to exist: the device, its drive, its network.
    pub fn launch(
        &mut self,
        adapt: impl Fn(Launch) -> Launch + Send + Sync + 'static,
    ) -> &mut Self {
        self.adapt = Some(Box::new(adapt));
        self
    }

    /// How the failure report decodes the operations of this device.
    pub fn describe(&mut self, decoder: Decoder) -> &mut Self {
        self.decoder = Some(decoder);
        self
    }
}

/// One way through the graph: a machine, then edges. Its [id](Graph::id) is stable and part of test names.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Path {
    machine: usize,
    edges: Vec<usize>,
}

impl Graph {
    /// The graph of everything that was linked into this binary.
    pub fn get() -> &'static Self {
        static GRAPH: OnceLock<Graph> = OnceLock::new();
        GRAPH.get_or_init(|| {
            let mut graph = Self::default();
            for piece in GRAPHS {
                piece(&mut graph);
            }
            graph
        })
    }

    /// Adds a machine that QEMU can be started as, and the value that tests and edges see of it.
    pub fn machine<M: 'static>(
        &mut self,
        kind: &'static MachineType,
        build: impl Fn(&Vm) -> M + Send + Sync + 'static,
    ) {
        self.machines.push(Machine {
            kind,
            gives: NodeType::of::<M>(),
            build: Box::new(move |vm| Box::new(build(vm))),
        });
    }

    /// Adds a step from the interface `P` to the interface `C`. The label is what QEMU calls the device; it is part of test names.
    pub fn edge<P: 'static, C: 'static>(
        &mut self,
        label: &'static str,
        build: impl Fn(&P) -> C + Send + Sync + 'static,
    ) -> &mut Edge {
        self.edges.push(Edge {
            label,
            from: NodeType::of::<P>(),
            to: NodeType::of::<C>(),
            build: Box::new(move |parent| {
                let parent = parent.downcast_ref().expect("a path joins equal types");
                Box::new(build(parent))
            }),
            adapt: None,
            decoder: None,
        });
        self.edges.last_mut().expect("just pushed")
    }

    /// Every path that ends in `target`, in the order of registration. A path meets no type twice.
    pub fn paths_to(&self, target: NodeType) -> Vec<Path> {
        let mut children: HashMap<NodeType, Vec<usize>> = HashMap::new();
        for (index, edge) in self.edges.iter().enumerate() {
            children.entry(edge.from).or_default().push(index);
        }
        let mut found = Vec::new();
        for (index, machine) in self.machines.iter().enumerate() {
            let path = Path {
                machine: index,
                edges: Vec::new(),
            };
            self.walk(path, machine.gives, target, &children, &mut found);
        }
        found
    }

    fn walk(
        &self,
        path: Path,
        at: NodeType,
        target: NodeType,
        children: &HashMap<NodeType, Vec<usize>>,
        found: &mut Vec<Path>,
    ) {
        if at == target {
            found.push(path);
            return;
        }
        for &index in children.get(&at).into_iter().flatten() {
            let to = self.edges[index].to;
            if self.nodes(&path).any(|node| node == to) {
                continue;
            }
            let mut longer = path.clone();
            longer.edges.push(index);
            self.walk(longer, to, target, children, found);
        }
    }

    /// The types that a path gives to a test, machine first.
    pub fn nodes<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = NodeType> + 'a {
        let machine = self.machines[path.machine].gives;
        std::iter::once(machine).chain(path.edges.iter().map(|&edge| self.edges[edge].to))
    }

    /// The type of machine that a path starts from.
    pub fn machine_of(&self, path: &Path) -> &'static MachineType {
        self.machines[path.machine].kind
    }

    /// The path's identity: `x86_64/pc/mc146818rtc`.
    pub fn id(&self, path: &Path) -> String {
        let machine = self.machines[path.machine].kind;
        let mut id = format!("{}/{}", machine.arch, machine.name);
        for &edge in &path.edges {
            id.push('/');
            id.push_str(self.edges[edge].label);
        }
        id
    }

    /// The launch that a path needs.
    pub fn launch(&self, path: &Path) -> Launch {
        let mut launch = Launch::new(self.machines[path.machine].kind);
        for &edge in &path.edges {
            if let Some(adapt) = &self.edges[edge].adapt {
                launch = adapt(launch);
            }
        }
        launch
    }

    /// Builds the path's values on a started machine, into the context.
    pub(crate) fn build(&self, path: &Path, vm: &Vm, context: &mut Context) {
        let machine = &self.machines[path.machine];
        context.insert_any(machine.gives, (machine.build)(vm));
        for &edge in &path.edges {
            let edge = &self.edges[edge];
            let value = (edge.build)(context.any(edge.from));
            context.insert_any(edge.to, value);
        }
    }

    /// What a machine carries from the start and has as a `T`: by the shortest path whose edges plug nothing in. For tools.
    #[track_caller]
    pub fn built_in<T: Clone + 'static>(&self, vm: &Vm) -> Option<T> {
        let is_built_in = |path: &Path| {
            self.machine_of(path) == vm.launch().machine()
                && path
                    .edges
                    .iter()
                    .all(|&edge| self.edges[edge].adapt.is_none())
        };
        let paths = self.paths_to(NodeType::of::<T>());
        let shortest = paths
            .iter()
            .filter(|path| is_built_in(path))
            .min_by_key(|path| path.edges.len())?;
        let mut context = Context::default();
        self.build(shortest, vm, &mut context);
        Some(context.get::<T>().clone())
    }

    /// Fresh decoders of the devices that a machine carries from the start, one of each name.
    pub fn built_in_decoders(&self, machine: &MachineType) -> Vec<Box<dyn Describe>> {
        let mut decoders: Vec<Box<dyn Describe>> = Vec::new();
        let mut reached = vec![];
        for kind in self.machines.iter().filter(|m| m.kind == machine) {
            reached.push(kind.gives);
        }
        let mut at = 0;
        while let Some(&node) = reached.get(at) {
            at += 1;
            for edge in &self.edges {
                if edge.from != node || edge.adapt.is_some() || reached.contains(&edge.to) {
                    continue;
                }
                reached.push(edge.to);
                if let Some(decoder) = edge.decoder.map(|decoder| decoder()) {
                    if !decoders.iter().any(|known| known.name() == decoder.name()) {
                        decoders.push(decoder);
                    }
                }
            }
        }
        decoders
    }

    /// Fresh decoders of the devices on a path.
    pub fn decoders(&self, path: &Path) -> Vec<Box<dyn Describe>> {
        path.edges
            .iter()
            .filter_map(|&edge| self.edges[edge].decoder)
            .map(|decoder| decoder())
            .collect()
    }
}
