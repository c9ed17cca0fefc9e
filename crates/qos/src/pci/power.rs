//! [`Power`]: the power management capability (PM §3.2).

use bitfield_struct::bitfield;

use super::{Capability, Function, capability};

/// The power management capability.
#[derive(Clone, Debug)]
pub struct Power {
    capability: Capability,
}

/// A function's power state (PM §5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PowerState {
    /// Runs.
    D0,
    /// Optional.
    D1,
    /// Optional.
    D2,
    /// Only configuration accesses are answered.
    D3Hot,
}

impl PowerState {
    const fn into_bits(self) -> u8 {
        self as u8
    }

    const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::D0,
            1 => Self::D1,
            2 => Self::D2,
            _ => Self::D3Hot,
        }
    }
}

/// Power management control and status, PMCSR (PM §3.2.4).
#[bitfield(u16)]
#[derive(PartialEq, Eq)]
pub struct PowerControl {
    /// The state.
    #[bits(2)]
    pub state: PowerState,
    #[bits(1)]
    __: u8,
    /// Going from D3hot to D0 resets nothing.
    pub no_soft_reset: bool,
    #[bits(4)]
    __: u8,
    /// May assert PME#.
    pub pme_enable: bool,
    /// What the data register shows.
    #[bits(4)]
    pub data_select: u8,
    /// What the data register's unit is.
    #[bits(2)]
    pub data_scale: u8,
    /// PME# was or would be asserted; cleared by writing 1.
    pub pme: bool,
}

impl Power {
    /// Its place in configuration space.
    pub fn capability(&self) -> &Capability {
        &self.capability
    }

    /// PMC, the capabilities.
    #[track_caller]
    pub fn capabilities(&self) -> u16 {
        self.capability.read(0x02)
    }

    /// PMCSR.
    #[track_caller]
    pub fn control(&self) -> PowerControl {
        self.capability.read::<u16>(0x04).into()
    }

    /// Writes PMCSR.
    #[track_caller]
    pub fn set_control(&self, control: PowerControl) {
        self.capability.write(0x04, control.into_bits());
    }

    /// The state.
    #[track_caller]
    pub fn state(&self) -> PowerState {
        self.control().state()
    }

    /// Asks for a state; one that the function does not have leaves it where it is.
    #[track_caller]
    pub fn set_state(&self, state: PowerState) {
        // PME status is cleared by writing what was read.
        let control = self.control().with_pme(false);
        self.set_control(control.with_state(state));
    }
}

impl Function {
    /// Its power management capability.
    #[track_caller]
    pub fn power(&self) -> Option<Power> {
        self.capability(capability::id::POWER_MANAGEMENT)
            .map(|capability| Power { capability })
    }
}
