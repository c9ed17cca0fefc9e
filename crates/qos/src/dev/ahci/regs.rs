//! The HBA's registers (AHCI 1.3.1 §3).

use bitfield_struct::bitfield;

/// A generic host control register (§3.1), 32 bits each, by its offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostReg {
    /// CAP: host capabilities.
    Cap = 0x00,
    /// GHC: global host control.
    Ghc = 0x04,
    /// IS: interrupt status, a bit a port; cleared by writing 1.
    Is = 0x08,
    /// PI: ports implemented, a bit a port.
    Pi = 0x0c,
    /// VS: version, major in the upper 16 bits.
    Vs = 0x10,
    /// CCC_CTL: command completion coalescing control.
    CccCtl = 0x14,
    /// CCC_PORTS: command completion coalescing ports.
    CccPorts = 0x18,
    /// EM_LOC: enclosure management location.
    EmLoc = 0x1c,
    /// EM_CTL: enclosure management control.
    EmCtl = 0x20,
    /// CAP2: host capabilities, extended.
    Cap2 = 0x24,
    /// BOHC: BIOS/OS handoff control and status.
    Bohc = 0x28,
}

/// A port register (§3.3), 32 bits each, by its offset in the port's 128 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortReg {
    /// PxCLB: command list base address, 1 KiB aligned.
    Clb = 0x00,
    /// PxCLBU: its upper 32 bits.
    Clbu = 0x04,
    /// PxFB: FIS base address, 256 bytes aligned.
    Fb = 0x08,
    /// PxFBU: its upper 32 bits.
    Fbu = 0x0c,
    /// PxIS: interrupt status; cleared by writing 1.
    Is = 0x10,
    /// PxIE: interrupt enable.
    Ie = 0x14,
    /// PxCMD: command and status.
    Cmd = 0x18,
    /// PxTFD: task file data. Read-only.
    Tfd = 0x20,
    /// PxSIG: signature. Read-only.
    Sig = 0x24,
    /// PxSSTS: SATA status. Read-only.
    Ssts = 0x28,
    /// PxSCTL: SATA control.
    Sctl = 0x2c,
    /// PxSERR: SATA error; cleared by writing 1.
    Serr = 0x30,
    /// PxSACT: SATA active, a bit a tag; set by writing 1.
    Sact = 0x34,
    /// PxCI: command issue, a bit a slot; set by writing 1.
    Ci = 0x38,
    /// PxSNTF: SATA notification.
    Sntf = 0x3c,
    /// PxFBS: FIS-based switching control.
    Fbs = 0x40,
}

/// Bytes of a port's registers.
pub const PORT_LEN: u64 = 0x80;
/// Where the first port's registers begin.
pub const PORTS: u64 = 0x100;

/// CAP (§3.1.1).
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct Cap {
    /// NP: number of ports, less one.
    #[bits(5)]
    pub ports: u8,
    /// SXS: has an external port.
    pub external: bool,
    /// EMS: enclosure management.
    pub enclosure: bool,
    /// CCCS: command completion coalescing.
    pub coalescing: bool,
    /// NCS: number of command slots, less one.
    #[bits(5)]
    pub slots: u8,
    /// PSC: partial state capable.
    pub partial: bool,
    /// SSC: slumber state capable.
    pub slumber: bool,
    /// PMD: PIO multiple DRQ blocks.
    pub pio_multiple: bool,
    /// FBSS: FIS-based switching.
    pub switching: bool,
    /// SPM: port multiplier.
    pub multiplier: bool,
    /// SAM: AHCI mode only.
    pub ahci_only: bool,
    __: bool,
    /// ISS: interface speed, the highest generation.
    #[bits(4)]
    pub speed: u8,
    /// SCLO: command list override.
    pub list_override: bool,
    /// SAL: activity LED.
    pub led: bool,
    /// SALP: aggressive link power management.
    pub link_power: bool,
    /// SSS: staggered spin-up.
    pub staggered: bool,
    /// SMPS: mechanical presence switch.
    pub presence_switch: bool,
    /// SSNTF: PxSNTF.
    pub notification: bool,
    /// SNCQ: native command queueing.
    pub queueing: bool,
    /// S64A: 64-bit addresses.
    pub addresses64: bool,
}

/// GHC (§3.1.2).
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct Ghc {
    /// HR: HBA reset; clears itself.
    pub reset: bool,
    /// IE: interrupts of the HBA are enabled.
    pub interrupts: bool,
    /// MRSM: several messages were asked for and one is used. Read-only.
    pub single_message: bool,
    #[bits(28)]
    __: u32,
    /// AE: AHCI is enabled.
    pub ahci: bool,
}

/// PxCMD (§3.3.7).
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct Cmd {
    /// ST: processes the command list.
    pub start: bool,
    /// SUD: spins the device up.
    pub spin_up: bool,
    /// POD: powers the device on.
    pub power_on: bool,
    /// CLO: command list override.
    pub list_override: bool,
    /// FRE: FISes are received.
    pub receive: bool,
    #[bits(3)]
    __: u8,
    /// CCS: current command slot. Read-only.
    #[bits(5)]
    pub slot: u8,
    /// MPSS: mechanical presence switch state. Read-only.
    pub presence: bool,
    /// FR: the FIS receive engine runs. Read-only.
    pub receiving: bool,
    /// CR: the command list engine runs. Read-only.
    pub running: bool,
    /// CPS: cold presence state. Read-only.
    pub cold_presence: bool,
    /// PMA: a port multiplier is attached.
    pub multiplier: bool,
    /// HPCP: the port is hot-pluggable. Read-only.
    pub hot_plug: bool,
    /// MPSP: has a mechanical presence switch. Read-only.
    pub presence_switch: bool,
    /// CPD: detects cold presence. Read-only.
    pub cold_detection: bool,
    /// ESP: is external. Read-only.
    pub external: bool,
    /// FBSCP: FIS-based switching. Read-only.
    pub switching: bool,
    /// APSTE: goes to partial by itself.
    pub auto_partial: bool,
    /// ATAPI: the device is one.
    pub atapi: bool,
    /// DLAE: drives the LED for a packet device.
    pub led: bool,
    /// ALPE: aggressive link power management.
    pub link_power: bool,
    /// ASP: to slumber instead of partial.
    pub slumber: bool,
    /// ICC: a power state to go to; zero once there.
    #[bits(4)]
    pub power_state: u8,
}

/// PxIS and PxIE (§3.3.5, §3.3.6): what happened, and what of it interrupts.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct PortInterrupt {
    /// DHRS: a register FIS with its interrupt bit.
    pub register: bool,
    /// PSS: a PIO setup FIS with its interrupt bit, its data transferred.
    pub pio_setup: bool,
    /// DSS: a DMA setup FIS with its interrupt bit.
    pub dma_setup: bool,
    /// SDBS: a set device bits FIS with its interrupt bit.
    pub device_bits: bool,
    /// UFS: an unknown FIS.
    pub unknown: bool,
    /// DPS: a descriptor with its interrupt bit was done.
    pub descriptor: bool,
    /// PCS: the port's connection changed.
    pub connection: bool,
    /// DMPS: the mechanical presence switch moved.
    pub presence: bool,
    #[bits(14)]
    __: u16,
    /// PRCS: PhyRdy changed.
    pub phy_ready: bool,
    /// IPMS: an incorrect port multiplier.
    pub multiplier: bool,
    /// OFS: more bytes than the descriptors have room for.
    pub overflow: bool,
    __: bool,
    /// INFS: an interface error that is not fatal.
    pub interface: bool,
    /// IFS: a fatal interface error.
    pub interface_fatal: bool,
    /// HBDS: a data error of the host's bus.
    pub bus_data: bool,
    /// HBFS: a fatal error of the host's bus.
    pub bus_fatal: bool,
    /// TFES: the device's status has ERR.
    pub task_file: bool,
    /// CPDS: cold presence changed.
    pub cold_presence: bool,
}

impl PortInterrupt {
    /// All bits that there are.
    pub const ALL: Self = Self::from_bits(0xfdc0_00ff);

    /// The names of the bits that are set.
    pub fn flags(self) -> Vec<&'static str> {
        let fields = [
            (self.register(), "register"),
            (self.pio_setup(), "pio_setup"),
            (self.dma_setup(), "dma_setup"),
            (self.device_bits(), "device_bits"),
            (self.unknown(), "unknown"),
            (self.descriptor(), "descriptor"),
            (self.connection(), "connection"),
            (self.phy_ready(), "phy_ready"),
            (self.overflow(), "overflow"),
            (self.interface(), "interface"),
            (self.interface_fatal(), "interface_fatal"),
            (self.bus_data(), "bus_data"),
            (self.bus_fatal(), "bus_fatal"),
            (self.task_file(), "task_file"),
        ];
        let set = fields.into_iter().filter(|&(set, _)| set);
        set.map(|(_, name)| name).collect()
    }
}

/// PxSSTS (§3.3.10).
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct Ssts {
    /// DET: 0 nothing there, 1 a device without communication, 3 a device with communication.
    #[bits(4)]
    pub detection: u8,
    /// SPD: the generation of the speed.
    #[bits(4)]
    pub speed: u8,
    /// IPM: the interface's power state; 1 is active.
    #[bits(4)]
    pub power: u8,
    #[bits(20)]
    __: u32,
}

/// PxSCTL (§3.3.11).
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct Sctl {
    /// DET: 1 sends COMRESET for as long as it stays.
    #[bits(4)]
    pub detection: u8,
    /// SPD: the highest speed allowed.
    #[bits(4)]
    pub speed: u8,
    /// IPM: power states that are not allowed.
    #[bits(4)]
    pub power: u8,
    #[bits(20)]
    __: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_where_the_specification_has_them() {
        assert_eq!(Cap::new().with_addresses64(true).into_bits(), 1 << 31);
        assert_eq!(Cap::new().with_ahci_only(true).into_bits(), 1 << 18);
        assert_eq!(Cap::new().with_speed(1).into_bits(), 1 << 20);
        assert_eq!(Cap::new().with_slots(1).into_bits(), 1 << 8);
        assert_eq!(Ghc::new().with_ahci(true).into_bits(), 1 << 31);
        assert_eq!(Cmd::new().with_receive(true).into_bits(), 1 << 4);
        assert_eq!(Cmd::new().with_receiving(true).into_bits(), 1 << 14);
        assert_eq!(Cmd::new().with_running(true).into_bits(), 1 << 15);
        assert_eq!(Cmd::new().with_atapi(true).into_bits(), 1 << 24);
        assert_eq!(Cmd::new().with_power_state(1).into_bits(), 1 << 28);
        assert_eq!(
            PortInterrupt::new().with_overflow(true).into_bits(),
            1 << 24
        );
        assert_eq!(
            PortInterrupt::new().with_task_file(true).into_bits(),
            1 << 30
        );
    }
}
