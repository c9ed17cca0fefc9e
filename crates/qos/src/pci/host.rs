//! [`Pci`]: a machine's host bridge and what is behind it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use testjig_qtest::Width;
use testjig_vm::{Fault, Vm};

use super::window::{Pool, Pools};
use super::{AddressMap, Bdf, ConfigSpace, Ecam, Function, SpaprPhb, header};

/// A way to configuration space. Those of testjig are [`ConfigSpace`], [`Ecam`] and [`SpaprPhb`]; a machine of one's own may have another.
pub trait HostBridge: fmt::Debug {
    /// The machine that it belongs to.
    fn vm(&self) -> &Vm;

    /// Bytes of configuration space that it reaches of a function: 256 or 4096.
    fn config_len(&self) -> u16;

    /// Reads a byte, word or dword at an offset that is aligned to it; all ones where no function answers.
    fn read_config(&self, at: Bdf, offset: u16, width: Width) -> u32;

    /// Writes a byte, word or dword at an offset that is aligned to it.
    fn write_config(&self, at: Bdf, offset: u16, width: Width, value: u32);
}

macro_rules! host_bridge {
    ($($type:ty: |$bridge:ident| $vm:expr;)*) => {$(
        impl HostBridge for $type {
            fn vm(&self) -> &Vm {
                let $bridge = self;
                $vm
            }

            fn config_len(&self) -> u16 {
                Self::LEN
            }

            #[track_caller]
            fn read_config(&self, at: Bdf, offset: u16, width: Width) -> u32 {
                self.read(at, offset, width)
            }

            #[track_caller]
            fn write_config(&self, at: Bdf, offset: u16, width: Width, value: u32) {
                self.write(at, offset, width, value);
            }
        }
    )*};
}

host_bridge! {
    ConfigSpace: |bridge| bridge.ports().vm();
    Ecam: |bridge| bridge.window().vm();
    SpaprPhb: |bridge| bridge.vm();
}

/// A host bridge with the windows behind it, and who has which addresses in them.
///
/// Clones are the same. Two made separately for one machine know nothing of each other's addresses.
#[derive(Clone)]
pub struct Pci(Rc<Inner>);

struct Inner {
    bridge: Bridge,
    map: AddressMap,
    state: RefCell<State>,
}

/// Dispatched by hand: a call through `dyn` would lose the line of the test that made it.
enum Bridge {
    Mechanism1(ConfigSpace),
    Ecam(Ecam),
    Spapr(SpaprPhb),
    Other(Box<dyn HostBridge>),
}

/// What changes as buses are numbered and addresses given out.
#[derive(Debug)]
pub(super) struct State {
    pub(super) pools: BTreeMap<u8, Pools>,
    /// The bridge that leads to a bus.
    pub(super) bridges: BTreeMap<u8, Bdf>,
    /// How many base addresses of a function are mapped: ports, memory.
    pub(super) mapped: BTreeMap<Bdf, [u32; 2]>,
}

macro_rules! on_bridge {
    ($self:ident, $bridge:ident => $call:expr) => {
        match &$self.0.bridge {
            Bridge::Mechanism1($bridge) => $call,
            Bridge::Ecam($bridge) => $call,
            Bridge::Spapr($bridge) => $call,
            Bridge::Other($bridge) => $call,
        }
    };
}

impl Pci {
    /// What is behind a host bridge of one's own.
    pub fn new(bridge: impl HostBridge + 'static, map: AddressMap) -> Self {
        Self::behind(Bridge::Other(Box::new(bridge)), map)
    }

    /// Behind the ports 0xcf8 and 0xcfc.
    pub fn with_mechanism1(bridge: ConfigSpace, map: AddressMap) -> Self {
        Self::behind(Bridge::Mechanism1(bridge), map)
    }

    /// Behind a memory window.
    pub fn with_ecam(bridge: Ecam, map: AddressMap) -> Self {
        Self::behind(Bridge::Ecam(bridge), map)
    }

    /// Behind a POWER server's host bridge.
    pub fn with_spapr(bridge: SpaprPhb, map: AddressMap) -> Self {
        Self::behind(Bridge::Spapr(bridge), map)
    }

    fn behind(bridge: Bridge, map: AddressMap) -> Self {
        let range = |window: super::Window| window.base..window.base + window.len;
        let root = Pools {
            io: Pool::new(map.io.clone()),
            memory: Pool::new(range(map.memory)),
            memory64: Pool::new(range(map.memory64)),
        };
        let state = State {
            pools: BTreeMap::from([(0, root)]),
            bridges: BTreeMap::new(),
            mapped: BTreeMap::new(),
        };
        Self(Rc::new(Inner {
            bridge,
            map,
            state: RefCell::new(state),
        }))
    }

    /// The machine.
    pub fn vm(&self) -> &Vm {
        on_bridge!(self, bridge => bridge.vm())
    }

    /// The windows.
    pub fn map(&self) -> &AddressMap {
        &self.0.map
    }

    /// Bytes of configuration space of a function: 256 or 4096.
    pub fn config_len(&self) -> u16 {
        on_bridge!(self, bridge => bridge.config_len())
    }

    /// The POWER server's host bridge, if that is what it is.
    pub fn spapr(&self) -> Option<&SpaprPhb> {
        match &self.0.bridge {
            Bridge::Spapr(bridge) => Some(bridge),
            _ => None,
        }
    }

    /// The memory window of configuration space, if there is one.
    pub fn ecam(&self) -> Option<&Ecam> {
        match &self.0.bridge {
            Bridge::Ecam(bridge) => Some(bridge),
            _ => None,
        }
    }

    /// One configuration access, as the host bridge makes it; aligned.
    #[track_caller]
    pub(super) fn read_config(&self, at: Bdf, offset: u16, width: Width) -> u32 {
        on_bridge!(self, bridge => bridge.read_config(at, offset, width))
    }

    /// One configuration access, as the host bridge makes it; aligned.
    #[track_caller]
    pub(super) fn write_config(&self, at: Bdf, offset: u16, width: Width, value: u32) {
        on_bridge!(self, bridge => bridge.write_config(at, offset, width, value));
    }

    pub(super) fn state(&self) -> std::cell::RefMut<'_, State> {
        self.0.state.borrow_mut()
    }

    /// For a machine that was reset: its base address registers are zero again, its bridges have no bus numbers, and a `q35` has closed
    /// its configuration window. Takes back what was given out, and opens that window.
    ///
    /// Mapped [`Bar`](super::Bar)s stay what they are: registers at addresses that the device no longer knows.
    #[track_caller]
    pub fn after_reset(&self) {
        let mut state = self.state();
        state.bridges.clear();
        state.mapped.clear();
        state.pools.retain(|&bus, _| bus == 0);
        if let Some(root) = state.pools.get_mut(&0) {
            for pool in [&mut root.io, &mut root.memory, &mut root.memory64] {
                *pool = Pool::new(pool.range());
            }
        }
        drop(state);
        if self
            .ecam()
            .is_some_and(|ecam| ecam.window().base() == Self::Q35_ECAM)
        {
            Self::open_q35(self.vm());
        }
    }

    /// The registers of one function, whether it exists or not.
    pub fn function(&self, at: Bdf) -> Function {
        Function::new(self.clone(), at)
    }

    /// Function 0 of a device on bus 0: where `addr=` of a launch put it.
    pub fn device(&self, device: u8) -> Function {
        self.function(Bdf::new(0, device, 0))
    }

    /// The functions that answer on one bus, in ascending order. Others than 0 are looked for only where the device says that it has
    /// several (PCI §6.2.1).
    #[track_caller]
    pub fn functions_on(&self, bus: u8) -> Vec<Function> {
        let mut found = Vec::new();
        for device in 0..32 {
            let first = self.function(Bdf::new(bus, device, 0));
            if !first.is_present() {
                continue;
            }
            let several = first.is_multi_function();
            found.push(first);
            if several {
                let others = (1..8).map(|number| self.function(Bdf::new(bus, device, number)));
                for other in others {
                    if other.is_present() {
                        found.push(other);
                    }
                }
            }
        }
        found
    }

    /// All functions on bus 0 and on the buses that bridges lead to by now: nothing is numbered, see [`Pci::enumerate`].
    #[track_caller]
    pub fn functions(&self) -> Vec<Function> {
        let mut found = Vec::new();
        self.collect(0, &mut found);
        found
    }

    #[track_caller]
    fn collect(&self, bus: u8, found: &mut Vec<Function>) {
        for function in self.functions_on(bus) {
            found.push(function.clone());
            if function.is_bridge() {
                let secondary = function.read::<u8>(header::SECONDARY_BUS);
                // A bridge that leads nowhere, or back.
                if secondary > bus {
                    self.collect(secondary, found);
                }
            }
        }
    }

    /// The first function for which `is` holds, in the order of [`Pci::functions`].
    #[track_caller]
    pub fn find(&self, is: impl Fn(&Function) -> bool) -> Option<Function> {
        self.functions().into_iter().find(is)
    }

    /// The first function of this vendor and device ID.
    #[track_caller]
    pub fn find_id(&self, vendor: u16, device: u16) -> Option<Function> {
        self.functions()
            .into_iter()
            .find(|function| function.id() == (vendor, device))
    }

    /// All functions of this base class and sub-class: `0x0604` for a PCI-to-PCI bridge.
    #[track_caller]
    pub fn of_class(&self, class: u16) -> Vec<Function> {
        self.functions()
            .into_iter()
            .filter(|function| (function.class() >> 8) as u16 == class)
            .collect()
    }
}

/// Unwinds because a bus has no addresses to give out.
#[track_caller]
pub(super) fn no_windows(at: Bdf) -> ! {
    Fault::usage(format!(
        "failed to give {at} an address: bus {:#04x} has no windows; `Pci::enumerate` gives some to each bus it finds",
        at.bus()
    ))
    .raise()
}

impl fmt::Debug for Pci {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        on_bridge!(self, bridge => f.debug_tuple("Pci").field(bridge).finish())
    }
}
