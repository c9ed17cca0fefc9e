//! Guest memory on real machines: what is handed out was untouched, and all RAM that a device can be told of behaves the same.

use testjig_qos::mem::{FREED, FromBytes, GuestAlloc, Immutable, IntoBytes, KnownLayout, be, le};
use testjig_vm::{
    Arch, Cache, Finder, Launch, LaunchOptions, MachineType, Qemu, Silent, Vm, machine,
};

/// A QEMU for an architecture, if there is one already; the one of the host's kind is fetched.
fn qemu(arch: Arch) -> Option<Qemu> {
    let cache = Cache::open().expect("a cache");
    Finder::new(arch)
        .allow_network(arch == Arch::X86_64)
        .find(&cache, &Silent)
        .ok()
}

fn start(qemu: &Qemu, launch: &Launch) -> Vm {
    match qemu.launch(launch, &LaunchOptions::default()) {
        Ok(vm) => vm,
        Err(error) => panic!("{error}\n{}", error.command_line()),
    }
}

fn pc() -> Vm {
    let qemu = qemu(Arch::X86_64).expect("a QEMU");
    start(&qemu, &Launch::new(&machine::PC))
}

/// The bytes that a machine found in the memory that would be handed out.
fn touched(vm: &Vm) -> Vec<String> {
    let ram = vm.ram();
    let spans = GuestAlloc::of(vm).free_spans();
    let mut touched = Vec::new();
    for (start, end) in spans {
        // What firmware puts there is longer than this.
        let (step, len) = if ram.is_mapped() {
            (1 << 12, 64)
        } else {
            (1 << 16, 16)
        };
        for addr in (start..end).step_by(step) {
            let bytes = ram.read_vec(addr, len.min(end - addr) as usize);
            if let Some(at) = bytes.iter().position(|&byte| byte != 0) {
                touched.push(format!("{:#x} is {:#04x}", addr + at as u64, bytes[at]));
            }
        }
    }
    touched
}

#[track_caller]
fn untouched(machine: &'static MachineType) {
    let Some(qemu) = qemu(machine.arch) else {
        return;
    };
    let vm = start(&qemu, &Launch::new(machine));
    assert_eq!(touched(&vm), Vec::<String>::new(), "{machine} at its start");
    vm.reset();
    assert_eq!(touched(&vm), Vec::<String>::new(), "{machine} after reset");
    let buf = GuestAlloc::of(&vm).copy_of(b"kept");
    assert_eq!(buf.to_vec(), b"kept", "{machine}");
    buf.free();
    assert_eq!(GuestAlloc::faults(&vm), [], "{machine}");
}

#[test]
fn memory_of_pcs_is_untouched() {
    for machine in [&machine::PC, &machine::Q35, &machine::MICROVM] {
        untouched(machine);
    }
}

#[test]
fn memory_of_arm_is_untouched() {
    untouched(&machine::AARCH64_VIRT);
    untouched(&machine::ARM_VIRT);
}

#[test]
fn memory_of_riscv_is_untouched() {
    untouched(&machine::RISCV64_VIRT);
}

#[test]
fn memory_of_power_is_untouched() {
    untouched(&machine::PPC64_PSERIES);
}

#[test]
fn memory_of_s390_is_untouched() {
    untouched(&machine::S390X_CCW);
}

#[test]
fn memory_of_sparc_is_untouched() {
    untouched(&machine::SPARC_SS5);
    untouched(&machine::SPARC64_SUN4U);
}

#[test]
fn memory_above_4_gib_is_handed_out_where_it_is_not_too_high() {
    const HIGH: u64 = 4 << 30;
    let qemu = qemu(Arch::X86_64).expect("a QEMU");
    let vm = start(&qemu, &Launch::new(&machine::Q35).memory(3 << 30));
    let alloc = GuestAlloc::of(&vm);
    let spans = alloc.free_spans();
    assert!(spans.iter().any(|&(start, _)| start >= HIGH), "{spans:x?}");
    assert!(alloc.request(4096).below(HIGH).buf().end() <= HIGH);
    // The only multiple of this that is RAM.
    let high = alloc.request(4096).align(HIGH + (16 << 20)).buf();
    assert_eq!(high.addr(), HIGH + (16 << 20));
    high.write(0, b"above");
    let mut seen = [0; 5];
    vm.read_mem(high.addr(), &mut seen);
    assert_eq!(&seen, b"above");
}

#[test]
fn blocks_are_zeroed_though_their_place_was_used() {
    let vm = pc();
    let alloc = GuestAlloc::of(&vm);
    let mut places = Vec::new();
    // More than may rest, so that places come again.
    for _ in 0..8 {
        let buf = alloc.buf(1 << 20);
        assert!(buf.to_vec().iter().all(|&byte| byte == 0));
        buf.fill(0x77);
        places.push(buf.addr());
    }
    let distinct: std::collections::BTreeSet<_> = places.iter().collect();
    assert!(distinct.len() < places.len(), "{places:x?}");
    assert_eq!(GuestAlloc::faults(&vm), []);
}

#[test]
fn what_a_queued_operation_finds_in_a_dropped_buffer_is_what_was_there() {
    let vm = pc();
    let buf = GuestAlloc::of(&vm).buf(16);
    let addr = buf.addr();
    vm.writel(addr, 0x0102_0304);
    // A device's DMA in its place: it is started by a queued write, before the buffer is dropped.
    vm.outb(0x80, 1);
    drop(buf);
    assert_eq!(vm.readl(addr), 0x0102_0304);
    assert_eq!(GuestAlloc::faults(&vm), []);
    assert_eq!(vm.readb(addr), FREED);
}

#[test]
fn a_dropped_buffer_of_a_dead_machine_unwinds_nothing() {
    let vm = pc();
    let buf = GuestAlloc::of(&vm).buf(16);
    vm.kill();
    vm.outb(0x80, 1);
    drop(buf);
}

#[test]
fn allocation_costs_no_round_trip_where_memory_is_mapped() {
    let vm = pc();
    vm.sync();
    let before = vm.round_trips();
    let alloc = GuestAlloc::of(&vm);
    let blocks: Vec<_> = (0..100).map(|_| alloc.buf(512)).collect();
    drop(blocks);
    assert_eq!(vm.round_trips(), before);
}

/// A structure with both byte orders.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Debug, PartialEq, Clone, Copy)]
#[repr(C)]
struct Mixed {
    little: le::U32,
    big: be::U16,
    byte: u8,
    rest: u8,
}

const MIXED: Mixed = Mixed {
    little: le::U32::new(0x0102_0304),
    big: be::U16::new(0x0506),
    byte: 7,
    rest: 0,
};

#[test]
fn structures_have_their_fields_in_the_order_that_their_types_say() {
    let vm = pc();
    let alloc = GuestAlloc::of(&vm);
    let one = alloc.boxed(&MIXED);
    assert_eq!(one.bytes().to_vec(), [4, 3, 2, 1, 5, 6, 7, 0]);
    vm.ram()
        .write_be(one.addr_of(std::mem::offset_of!(Mixed, big)), 0x1234_u16);
    assert_eq!(one.get().big.get(), 0x1234);
    one.update(|mixed| mixed.little = 9.into());
    assert_eq!(vm.readl(one.addr()), 9);

    let table = alloc.slice::<Mixed>(3);
    table.set(1, &MIXED);
    assert_eq!(vm.readl(table.addr_of(1)), 0x0102_0304);
    assert_eq!(table.get(1), MIXED);
    assert_eq!((table.len(), table.get(2).byte), (3, 0));
    table.set_all(&[MIXED, MIXED]);
    assert_eq!(table.get(0), MIXED);
}
