//! The device on boards of other architectures: what all of them have, once each. The details are tested on `pc`, `q35` and Arm's `virt`.

use testjig::machines::{Mac99, Prep, RiscvVirt, SparcSs5, Sun4u};
use testjig::prelude::*;
use testjig::qos::dev::fw_cfg::{Bytewise, FwCfg, Key};

/// Where each board has it: device trees and firmware know the same.
const RISCV_VIRT: u64 = 0x1010_0000;
const SPARC_SS5: u64 = 0xd_0000_0510;
const SPARC64_SUN4U: u64 = 0x1fe_0200_0510;
const PPC: u64 = 0xf000_0510;

/// [`FwCfg`] of any of these boards, whether it has DMA, and the item by which it counts processors.
struct BoardFwCfg {
    fw: FwCfg,
    dma: bool,
    cpus: Key,
}

fn bytewise(vm: &Vm, base: u64, form: Bytewise) -> BoardFwCfg {
    BoardFwCfg {
        fw: FwCfg::bytewise(vm, base, form),
        dma: false,
        cpus: Key::MAX_CPUS,
    }
}

testjig::graph!(|graph| {
    graph
        .edge("fw_cfg_mem", |virt: &RiscvVirt| BoardFwCfg {
            fw: FwCfg::mmio(virt.vm(), RISCV_VIRT),
            dma: true,
            cpus: Key::NB_CPUS,
        })
        .describe(|| Box::new(FwCfg::mmio_decoder(RISCV_VIRT)));
    graph.edge("fw_cfg_mem", |station: &SparcSs5| {
        bytewise(station.vm(), SPARC_SS5, Bytewise::Memory)
    });
    graph.edge("fw_cfg_mem", |mac: &Mac99| {
        bytewise(mac.vm(), PPC, Bytewise::Memory)
    });
    graph.edge("fw_cfg_mem", |prep: &Prep| {
        bytewise(prep.vm(), PPC, Bytewise::Memory)
    });
    graph.edge("fw_cfg_io", |sun: &Sun4u| {
        bytewise(sun.vm(), SPARC64_SUN4U, Bytewise::Ports)
    });
});

/// [Signature] "QEMU", whatever the processor's byte order.
#[testjig::test(on = BoardFwCfg)]
fn the_signature_is_qemu(board: BoardFwCfg) {
    assert_eq!(board.fw.item(Key::SIGNATURE, 4), b"QEMU");
}

/// [Revision / Feature Bitmap] The traditional interface, and DMA where the board has its registers.
#[testjig::test(on = BoardFwCfg)]
fn the_features_are_the_boards(board: BoardFwCfg) {
    let features = board.fw.features();
    assert!(features.traditional());
    assert_eq!(features.dma(), board.dma);
}

/// [File Directory] Files of the command line are found by name, in order, with their bytes.
#[testjig::test(on = BoardFwCfg, launch = |l| l.fw_cfg_string("opt/b", "second").fw_cfg_string("opt/a", "first"))]
fn files_are_found_by_name(board: BoardFwCfg) {
    let names: Vec<String> = board
        .fw
        .directory()
        .into_iter()
        .map(|entry| entry.name)
        .filter(|name| name.starts_with("opt/"))
        .collect();
    assert_eq!(names, ["opt/a", "opt/b"]);
    assert_eq!(board.fw.contents("opt/a"), b"first");
    assert_eq!(board.fw.contents("opt/b"), b"second");
}

/// [Data Register] Past the end there are zeroes; a selection begins again.
#[testjig::test(on = BoardFwCfg, launch = |l| l.fw_cfg_string("opt/a", "first"))]
fn items_end_and_begin_again(board: BoardFwCfg) {
    let key = board.fw.key("opt/a");
    assert_eq!(board.fw.item(key, 8), b"first\0\0\0");
    assert_eq!(board.fw.item(key, 2), b"fi");
}

/// [Data Register] Writes have had no effect since QEMU 2.4.
#[testjig::test(on = BoardFwCfg, launch = |l| l.fw_cfg_string("opt/a", "first"))]
fn data_can_not_be_written(board: BoardFwCfg) {
    let key = board.fw.key("opt/a");
    board.fw.select(key);
    board.fw.write_byte(0xff);
    assert_eq!(board.fw.item(key, 5), b"first");
}

/// [Firmware Configuration Items] Numbers are little-endian, whatever the processor: as many processors as there are.
#[testjig::test(on = BoardFwCfg)]
fn numbers_are_little_endian(board: BoardFwCfg) {
    assert_eq!(board.fw.item(board.cpus, 2), [1, 0]);
    assert_eq!(board.fw.u16(board.cpus), 1);
}

/// [Register Locations] After a reset of the machine the signature is selected.
#[testjig::test(on = BoardFwCfg, launch = |l| l.fw_cfg_string("opt/a", "first"))]
fn a_reset_selects_the_signature(board: BoardFwCfg, vm: &Vm) {
    board.fw.item(board.fw.key("opt/a"), 1);
    vm.reset();
    assert_eq!(board.fw.bytes(4), b"QEMU");
}
