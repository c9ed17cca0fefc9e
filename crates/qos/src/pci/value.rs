//! What an access can carry: [`ConfigValue`] and [`BarValue`].

use testjig_qtest::Width;
use testjig_vm::Vm;

/// A value that one configuration access carries: `u8`, `u16` or `u32`, little-endian.
pub trait ConfigValue: sealed::Value {}

/// A value that one access to a base address register's space carries: `u8`, `u16`, `u32`, or in memory `u64`; little-endian.
pub trait BarValue: sealed::Value {}

pub(super) mod sealed {
    use super::Width;

    pub trait Value: Copy {
        const WIDTH: Width;
        fn from_u64(value: u64) -> Self;
        fn into_u64(self) -> u64;
    }
}

macro_rules! value {
    ($($type:ty, $width:ident;)*) => {$(
        impl sealed::Value for $type {
            const WIDTH: Width = Width::$width;

            fn from_u64(value: u64) -> Self {
                value as Self
            }

            fn into_u64(self) -> u64 {
                self.into()
            }
        }

        impl BarValue for $type {}
    )*};
}

value! {
    u8, B;
    u16, W;
    u32, L;
    u64, Q;
}

impl ConfigValue for u8 {}
impl ConfigValue for u16 {}
impl ConfigValue for u32 {}

/// Reads little-endian memory; `swap` where the processor is big-endian.
#[track_caller]
pub(super) fn read_memory(vm: &Vm, swap: bool, addr: u64, width: Width) -> u64 {
    let value = match width {
        Width::B => vm.readb(addr).into(),
        Width::W => vm.readw(addr).into(),
        Width::L => vm.readl(addr).into(),
        Width::Q => vm.readq(addr),
    };
    swapped(value, swap, width)
}

/// Writes little-endian memory.
#[track_caller]
pub(super) fn write_memory(vm: &Vm, swap: bool, addr: u64, width: Width, value: u64) {
    let value = swapped(value, swap, width);
    match width {
        Width::B => vm.writeb(addr, value as u8),
        Width::W => vm.writew(addr, value as u16),
        Width::L => vm.writel(addr, value as u32),
        Width::Q => vm.writeq(addr, value),
    }
}

fn swapped(value: u64, swap: bool, width: Width) -> u64 {
    if swap {
        value.swap_bytes() >> (64 - 8 * width.bytes())
    } else {
        value
    }
}

/// Whether the machine's processor is big-endian.
pub(super) fn is_big_endian(vm: &Vm) -> bool {
    use testjig_vm::Arch;

    matches!(
        vm.launch().machine().arch,
        Arch::Ppc | Arch::Ppc64 | Arch::S390x | Arch::Sparc | Arch::Sparc64
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_big_endian_processor_sees_the_bytes_the_other_way_round() {
        assert_eq!(swapped(0x12, true, Width::B), 0x12);
        assert_eq!(swapped(0x1234, true, Width::W), 0x3412);
        assert_eq!(swapped(0x1234_5678, true, Width::L), 0x7856_3412);
        assert_eq!(swapped(1, true, Width::Q), 1 << 56);
        assert_eq!(swapped(0x1234, false, Width::W), 0x1234);
    }
}
