//! Where INTx# goes: from a function's pin over bridges and the chipset's router to an input of the interrupt controller.

use testjig_qmp::commands::{ObjectProperty, QomList};
use testjig_vm::{Fault, Pin};

use super::{Bdf, Function, header};

/// How a machine routes the four interrupt lines of its root bus.
#[derive(Clone, Copy, Debug)]
pub enum Routing {
    /// By the PIRQ route control registers of the PIIX3, to ISA interrupts (82371SB data sheet, PIRQRC\[A:D\]). Nothing is routed after
    /// power-on; [`Function::intx`] routes the line that it is asked for.
    Piix3,
    /// By the ICH9: devices behind the host bridge to PIRQE–H, its own to PIRQA–D; in APIC mode those are inputs 16–23 of the I/O APIC
    /// (ICH9 data sheet, §5.8.6 and §10.1).
    Ich9,
    /// By nothing but the rotation over device numbers (P2P §9.1), to four inputs in a row of an interrupt controller.
    Swizzled {
        /// The types that the controller may have, as QEMU calls them.
        controller: &'static [&'static str],
        /// The input that the first line goes to.
        first: u32,
    },
    /// To where a test can't watch it, for this reason.
    Unseen(&'static str),
}

/// ISA interrupts that nothing else on a bare `pc` uses, for PIRQA–D.
const PIIX3_IRQ: [u8; 4] = [5, 7, 10, 11];
/// The PIIX3's function with the PIRQ route control registers, and the first of them.
const PIIX3_ISA: Bdf = Bdf::new(0, 1, 0);
const PIRQRC: u16 = 0x60;

/// The line, 0–3 for INTA#–INTD#, that a pin of a device reaches on the next bus up (P2P §9.1, table 9-1).
pub(super) const fn swizzle(device: u8, pin: u8) -> u8 {
    (pin + device) % 4
}

impl Function {
    /// The pin that its INTx# raises, to be given to [`testjig_vm::Vm::intercept`]; `None` if it has no interrupt pin.
    ///
    /// Unwinds on a machine where that pin can't be watched.
    #[track_caller]
    pub fn intx(&self) -> Option<Pin> {
        let pin = self.interrupt_pin().checked_sub(1)?;
        let (device, line) = self.at_root(pin);
        let pin = match self.pci().map().intx {
            Routing::Piix3 => {
                let pirq = usize::from((line + device + 3) % 4);
                let router = self.pci().function(PIIX3_ISA);
                router.write(PIRQRC + pirq as u16, PIIX3_IRQ[pirq]);
                Pin::input("ioapic", PIIX3_IRQ[pirq].into())
            }
            Routing::Ich9 => {
                let pirq = match device {
                    25..=31 => line,
                    _ => 4 + swizzle(device, line),
                };
                Pin::input("ioapic", 16 + u32::from(pirq))
            }
            Routing::Swizzled { controller, first } => {
                let line = u32::from(swizzle(device, line));
                Pin::input(self.unattached(controller), first + line)
            }
            Routing::Unseen(reason) => Fault::skip(reason).raise(),
        };
        Some(pin)
    }

    /// The path of the machine's device of one of these types. QEMU numbers such devices, in an order of its own.
    #[track_caller]
    fn unattached(&self, types: &[&str]) -> String {
        const PARENT: &str = "/machine/unattached";
        let children = self.vm().qmp(QomList::of(PARENT));
        let is_one = |child: &&ObjectProperty| {
            let mut types = types.iter();
            types.any(|name| child.type_name == format!("child<{name}>"))
        };
        match children.iter().find(is_one) {
            Some(child) => format!("{PARENT}/{}", child.name),
            None => Fault::usage(format!(
                "failed to find the interrupt controller: {PARENT} has no {}",
                types.join(" and no ")
            ))
            .raise(),
        }
    }

    /// The device on the root bus through which the pin (0–3) goes, and which of its pins that is.
    #[track_caller]
    fn at_root(&self, pin: u8) -> (u8, u8) {
        let (mut at, mut pin) = (self.bdf(), pin);
        while at.bus() != 0 {
            let bridge = self.pci().state().bridges.get(&at.bus()).copied();
            let Some(bridge) = bridge else {
                Fault::usage(format!(
                    "failed to follow the interrupt of {}: no bridge is known to lead to bus {:#04x}; `Pci::enumerate` finds them",
                    self.bdf(),
                    at.bus()
                ))
                .raise();
            };
            pin = swizzle(at.device(), pin);
            at = bridge;
        }
        (at.device(), pin)
    }

    /// Forbids or allows INTx# (PCI §6.2.2, bit 10).
    #[track_caller]
    pub fn disable_intx(&self, disable: bool) {
        self.change_command(|command| command.with_interrupt_disable(disable));
    }

    /// Whether it has an interrupt pin.
    #[track_caller]
    pub fn has_intx(&self) -> bool {
        self.read::<u8>(header::INTERRUPT_PIN) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P2P table 9-1: device 0 INTA#→INTA#, device 1 INTA#→INTB#, …, device 4 as device 0.
    #[test]
    fn pins_rotate_with_the_device_number() {
        assert_eq!(
            [0, 1, 2, 3, 4].map(|device| swizzle(device, 0)),
            [0, 1, 2, 3, 0]
        );
        assert_eq!(swizzle(3, 3), 2);
    }
}
