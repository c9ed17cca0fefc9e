//! Items with a number of their own: what each says of the machine.

use testjig::prelude::*;
use testjig::qos::dev::fw_cfg::{Dma, Features, FwCfg, Key};
use testjig::vm::{Fault, MachineType, Object, RamBackend};

use super::host_file::HostFile;
use super::pc::PcFwCfg;
use super::starting::start;

/// [Signature] "the four bytes read will contain the characters QEMU"
#[testjig::test(on = FwCfg)]
fn the_signature_is_qemu(fw: FwCfg) {
    assert_eq!(fw.item(Key::SIGNATURE, 6), b"QEMU\0\0");
}

/// [Revision / feature bitmap] "Bit 0: traditional interface. Always set. Bit 1: DMA interface."
#[testjig::test(on = FwCfg)]
fn the_feature_bits_are_traditional_and_dma(fw: FwCfg) {
    assert_eq!(
        fw.features(),
        Features::new().with_traditional(true).with_dma(true)
    );
    assert_eq!(fw.item(Key::ID, 6), [3, 0, 0, 0, 0, 0]);
}

/// The UUID has the bytes of its text in the text's order.
#[testjig::test(on = FwCfg, launch = |l| l.arg("-uuid").arg("4600cb32-38ec-4b2f-8acb-81c6ea54f2d8"))]
fn the_uuid_is_that_of_the_command_line(fw: FwCfg) {
    let uuid = [
        0x46, 0x00, 0xcb, 0x32, 0x38, 0xec, 0x4b, 0x2f, 0x8a, 0xcb, 0x81, 0xc6, 0xea, 0x54, 0xf2,
        0xd8,
    ];
    assert_eq!(fw.item(Key::UUID, 16), uuid);
    assert_eq!(fw.bytes(2), [0, 0]);
}

/// A machine that was given none has the nil UUID.
#[testjig::test(on = FwCfg)]
fn without_a_uuid_there_is_the_nil_one(fw: FwCfg) {
    assert_eq!(fw.item(Key::UUID, 16), [0; 16]);
}

/// The size of RAM counts all of it, above 4 GiB too.
#[testjig::test(on = PcFwCfg, launch = |l| l.memory(mib * MIB), vary(mib = [1000, 5120]))]
fn the_ram_size_counts_all_ram(fw: PcFwCfg, mib: u64) {
    assert_eq!(fw.u64(Key::RAM_SIZE), mib * MIB);
    assert_eq!(fw.byte(), 0);
}

/// A machine has graphics unless it is told otherwise.
#[testjig::test(on = FwCfg, launch = |l| l.machine_option("graphics", graphics), vary(graphics = ["on", "off"]))]
fn nographic_is_the_machines_setting(fw: FwCfg, graphics: &'static str) {
    assert_eq!(fw.u16(Key::NOGRAPHIC), u16::from(graphics == "off"));
    assert_eq!(fw.byte(), 0);
}

/// Both counts of CPUs: those present, and on PCs the limit of the APIC IDs of those that may come.
#[testjig::test(on = PcFwCfg, launch = |l| l.cpus(cpus.0).smp_option("maxcpus", cpus.1), vary(cpus = [(1, 3), (3, 255)]))]
fn cpus_are_counted_as_present_and_as_possible(fw: PcFwCfg, cpus: (u32, u32)) {
    let (present, most) = cpus;
    assert_eq!(u32::from(fw.u16(Key::NB_CPUS)), present);
    assert_eq!(fw.byte(), 0);
    assert_eq!(u32::from(fw.u16(Key::MAX_CPUS)), most);
    assert_eq!(fw.byte(), 0);
}

/// Three cores take two bits of the APIC ID: the second socket's go from 4 to 6, and 7 is the limit.
#[testjig::test(on = PcFwCfg, launch = |l| l.cpus(6).smp_option("sockets", 2).smp_option("cores", 3))]
fn max_cpus_is_the_limit_of_apic_ids(fw: PcFwCfg) {
    assert_eq!(fw.u16(Key::NB_CPUS), 6);
    assert_eq!(fw.u16(Key::MAX_CPUS), 7);
}

/// A machine without NUMA has no nodes, and every APIC ID is in node 0.
#[testjig::test(on = PcFwCfg, launch = |l| l.cpus(2))]
fn without_numa_there_are_no_nodes(fw: PcFwCfg) {
    assert_eq!(fw.item(Key::NUMA, 32), [0; 32]);
}

/// NUMA: the number of nodes, the node of each APIC ID, the memory of each node.
#[testjig::test(on = PcFwCfg)]
fn numa_tells_nodes_cpus_and_memory(qemu: &Qemu, launch: Launch) {
    let node = |l: Launch, id: u32, size: u64| {
        let memory = Object::new("memory-backend-ram", format!("m{id}")).prop("size", size);
        l.object(memory)
            .arg("-numa")
            .arg(format!("node,nodeid={id},memdev=m{id}"))
    };
    let place = |l: Launch, node: u32, socket: u32| {
        l.arg("-numa")
            .arg(format!("cpu,node-id={node},socket-id={socket}"))
    };
    let launch = own_memory(launch.machine()).memory(192 * MIB).cpus(2);
    let launch = launch.smp_option("sockets", 3).smp_option("maxcpus", 3);
    let launch = node(node(launch, 0, 64 * MIB), 1, 128 * MIB);
    let launch = place(place(place(launch, 1, 0), 0, 1), 1, 2);
    let (_vm, fw) = start(qemu, &launch);

    fw.select(Key::NUMA);
    let words: Vec<_> = fw
        .bytes(7 * 8)
        .chunks_exact(8)
        .map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes")))
        .collect();
    assert_eq!(words, [2, 1, 0, 1, 64 * MIB, 128 * MIB, 0]);
}

/// The machine with the memory of its NUMA nodes in place of one backend.
fn own_memory(machine: &MachineType) -> Launch {
    Launch::new(Box::leak(Box::new(MachineType {
        ram_backend: RamBackend::Wire,
        ..*machine
    })))
}

/// The PC's timer interrupt arrives at pin 2 of the I/O APIC, and an item of the architecture says so.
#[testjig::test(on = PcFwCfg)]
fn irq0_is_overridden(fw: PcFwCfg) {
    let yes = [1, 0, 0, 0, 0, 0];
    assert_eq!(fw.item(Key::IRQ0_OVERRIDE, 6), yes);
    assert_eq!(fw.item(Key::IRQ0_OVERRIDE.with_write(true), 6), yes);
}

/// IA-PC HPET specification, §2.3.4: the block's capabilities, then where its registers are.
#[testjig::test(on = PcFwCfg)]
fn the_hpet_is_described(fw: PcFwCfg, vm: &Vm, qemu: &Qemu) {
    if qemu.is_embedded() {
        Fault::skip("the embedded machine has no HPET").raise();
    }
    fw.select(Key::HPET);
    assert_eq!(fw.byte(), 1);
    let id = fw.bytes(4);
    assert_eq!(id, vm.readl(HPET).to_le_bytes());
    assert_eq!(fw.bytes(8), HPET.to_le_bytes());
}

/// A machine without HPET says 0xff for their number.
#[testjig::test(on = PcFwCfg, launch = |l| l.machine_option("hpet", "off"))]
fn without_hpet_none_is_described(fw: PcFwCfg) {
    assert_eq!(fw.item(Key::HPET, 3), [0xff, 0, 0]);
}

/// Where PCs have the registers of their HPET.
const HPET: u64 = 0xfed0_0000;

/// `-acpitable`: how many tables, then the length of each before it.
#[testjig::test(on = PcFwCfg)]
fn acpi_tables_are_those_of_the_command_line(qemu: &Qemu, launch: Launch) {
    let data = HostFile::new(b"payload");
    let option = format!("sig=TEST,rev=3,data={}", data.path());
    let (_vm, fw) = start(qemu, &launch.arg("-acpitable").arg(option));

    let item = fw.item(Key::ACPI_TABLES, 2 + 2 + 36 + 7 + 1);
    assert_eq!(item[..2], [1, 0], "tables");
    assert_eq!(item[2..4], [36 + 7, 0], "length");
    assert_eq!(&item[4..8], b"TEST");
    assert_eq!(&item[2 + 2 + 36..], b"payload\0");
}

/// Items that other architectures or older machines have are empty on a PC without a kernel.
#[testjig::test(on = PcFwCfg)]
fn items_that_a_pc_does_not_have_are_empty(fw: PcFwCfg) {
    for key in ABSENT {
        assert_eq!(fw.item(key, 16), [0; 16], "{key:?}");
        let dma = Dma::new(&fw);
        assert_eq!(dma.read(key, 16), [0; 16], "{key:?}");
    }
}

const ABSENT: [Key; 8] = [
    Key::MACHINE_ID,
    Key::KERNEL_CMDLINE,
    Key::BOOT_DEVICE,
    Key::KERNEL_DATA,
    Key::INITRD_DATA,
    Key::SETUP_DATA,
    Key::SMBIOS_ENTRIES,
    Key::E820_TABLE,
];
