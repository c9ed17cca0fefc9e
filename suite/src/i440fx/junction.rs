//! The junction of DRAM and PCI below 1 MiB, with plain memory on both roads.

use testjig::prelude::*;
use testjig::qos::dev::i440fx::{Attribute, I440fx, Smram};
use testjig::qos::pci::{Bdf, Command, Function};
use testjig::vm::Object;

use super::sides::{Side, Sides};
use super::visible;

/// The host bridge with 512 KiB of plain memory on its PCI bus, at 0x80000–0xfffff, over ROM and video memory. Every byte of DRAM from
/// 0xa0000 on differs from the byte of that memory at the same address.
pub(super) struct Junction {
    pub(super) host: I440fx,
    card: Function,
}

impl Junction {
    const CARD: Bdf = Bdf::new(0, 4, 0);
    const CARD_LEN: u64 = 512 * KIB;
    const CARD_BASE: u64 = MIB - Self::CARD_LEN;
    /// A place of its own for the card's memory, where nothing hides it.
    const ASIDE: u64 = 0xe000_0000;

    pub(super) const DRAM: u8 = 0xd7;
    pub(super) const PCI: u8 = 0xbc;
    pub(super) const WRITTEN: u8 = 0x5a;

    pub(super) fn new(host: &I440fx) -> Self {
        let junction = Self {
            host: host.clone(),
            card: host.config().pci().function(Self::CARD),
        };
        junction.card.set_command(Command::new().with_memory(true));
        junction.mark();
        junction
    }

    /// Where reads come from.
    #[track_caller]
    pub(super) fn reads(&self) -> Sides {
        Sides::collect(self.bytes(Sides::FIRST).into_iter().map(|byte| match byte {
            Self::DRAM => Side::Dram,
            Self::PCI => Side::Pci,
            _ => Side::Neither,
        }))
    }

    /// Where writes go.
    #[track_caller]
    pub(super) fn writes(&self) -> Sides {
        self.fill(Sides::FIRST, Self::WRITTEN);
        let sides = self.dram().into_iter().zip(self.pci());
        let sides = Sides::collect(sides.map(|sides| match sides {
            (Self::WRITTEN, Self::PCI) => Side::Dram,
            (Self::DRAM, Self::WRITTEN) => Side::Pci,
            (Self::WRITTEN, Self::WRITTEN) => Side::Both,
            _ => Side::Neither,
        }));
        self.mark();
        sides
    }

    /// What DRAM holds, whatever is visible.
    #[track_caller]
    pub(super) fn dram(&self) -> Vec<u8> {
        self.with_dram_everywhere(|| self.bytes(Sides::FIRST))
    }

    /// What the card's memory holds, whatever is visible.
    #[track_caller]
    pub(super) fn pci(&self) -> Vec<u8> {
        self.with_card_aside(|base| self.bytes(base))
    }

    #[track_caller]
    fn bytes(&self, base: u64) -> Vec<u8> {
        visible(self.host.vm(), base..=base + Sides::LEN as u64 - 1)
    }

    #[track_caller]
    fn fill(&self, base: u64, byte: u8) {
        self.host.vm().memset(base, Sides::LEN as u64, byte);
    }

    #[track_caller]
    fn mark(&self) {
        self.with_dram_everywhere(|| self.fill(Sides::FIRST, Self::DRAM));
        self.with_card_aside(|base| self.fill(base, Self::PCI));
    }

    #[track_caller]
    fn with_dram_everywhere<T>(&self, body: impl FnOnce() -> T) -> T {
        let pams: [_; 7] = std::array::from_fn(|number| self.host.pam(number as u16));
        let smram = self.host.smram();
        self.host.set_all_attributes(Attribute::ReadWrite);
        self.host
            .set_smram(Smram::new().with_enable(true).with_open(true));
        let result = body();
        self.host.set_smram(smram);
        for (number, pam) in (0..).zip(pams) {
            self.host.set_pam(number, pam);
        }
        result
    }

    /// Runs `body` with where the card's memory for [`Sides::FIRST`] is meanwhile.
    #[track_caller]
    fn with_card_aside<T>(&self, body: impl FnOnce(u64) -> T) -> T {
        self.card.set_bar64(2, Self::ASIDE);
        let result = body(Self::ASIDE + Sides::FIRST - Self::CARD_BASE);
        self.card.set_bar64(2, Self::CARD_BASE);
        result
    }
}

testjig::graph!(|graph| {
    graph.edge("ivshmem-plain", Junction::new).launch(|launch| {
        let memory = Object::new("memory-backend-ram", "card")
            .prop("size", Junction::CARD_LEN)
            .prop("share", "on");
        let card = Device::new("ivshmem-plain")
            .prop("memdev", "card")
            .prop("addr", Junction::CARD.device());
        launch.object(memory).device(card)
    });
});
