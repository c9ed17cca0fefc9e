//! Files that the guest may write by DMA, and what a write does. [Guest-side DMA Interface] is meant throughout.

use testjig::prelude::*;
use testjig::qos::dev::fw_cfg::{Control, Dma, FwCfg, Key};

use super::host_file::HostFile;
use super::pc::PcFwCfg;

/// "length bytes will be copied from the physical RAM address specified by the address field to the current selector and offset"
#[testjig::test(on = PcFwCfg, launch = with_address)]
fn what_is_written_reads_back(fw: PcFwCfg) {
    let key = fw.key(ADDRESS);
    let dma = Dma::new(&fw);
    assert_eq!(fw.item(key, 8), [0; 8]);
    assert_eq!(dma.write(key, b"ABCDEFGH"), Control::DONE);
    assert_eq!(fw.item(key, 9), b"ABCDEFGH\0");
    assert_eq!(dma.read(key, 8), b"ABCDEFGH");
}

/// A write moves the position as a read does.
#[testjig::test(on = PcFwCfg, launch = with_address)]
fn writes_continue_where_the_last_one_ended(fw: PcFwCfg) {
    let key = fw.key(ADDRESS);
    let dma = Dma::new(&fw);
    assert_eq!(dma.write(key, b"ABCDEFGH"), Control::DONE);
    dma.set_buffer(b"xy");
    assert_eq!(dma.run(Control::WRITE.of(key), 2), Control::DONE);
    assert_eq!(fw.byte(), b'C');
    assert_eq!(dma.run(Control::WRITE, 2), Control::DONE);
    assert_eq!(fw.bytes(3), b"FGH");
    assert_eq!(fw.item(key, 8), b"xyCxyFGH");
}

/// A write after a skip reaches the bytes behind it, and no others.
#[testjig::test(on = PcFwCfg, launch = with_address)]
fn a_part_may_be_written(fw: PcFwCfg) {
    let key = fw.key(ADDRESS);
    let dma = Dma::new(&fw);
    assert_eq!(dma.write(key, b"ABCDEFGH"), Control::DONE);
    dma.set_buffer(b"xyz");
    assert_eq!(dma.run(Control::SKIP.of(key), 5), Control::DONE);
    assert_eq!(dma.run(Control::WRITE, 3), Control::DONE);
    assert_eq!(fw.item(key, 8), b"ABCDExyz");
}

/// "If the control field has bit 2 set (and neither bit 1 nor bit 4), a skip operation": a write goes before it.
#[testjig::test(on = PcFwCfg, launch = with_address)]
fn a_write_goes_before_a_skip(fw: PcFwCfg) {
    let key = fw.key(ADDRESS);
    let dma = Dma::new(&fw);
    dma.set_buffer(b"ABCD");
    assert_eq!(
        dma.run(Control::WRITE.with_skip(true).of(key), 4),
        Control::DONE
    );
    assert_eq!(fw.item(key, 5), b"ABCD\0");
}

/// "a write operation will be performed" if bit 4 is set "and not bit 1": with both, nothing is written.
#[testjig::test(on = PcFwCfg, launch = with_address)]
fn a_read_goes_before_a_write(fw: PcFwCfg) {
    let key = fw.key(ADDRESS);
    let dma = Dma::new(&fw);
    assert_eq!(dma.write(key, b"ABCDEFGH"), Control::DONE);
    dma.set_buffer(b"12345678");
    assert_eq!(
        dma.run(Control::READ.with_write(true).of(key), 4),
        Control::DONE
    );
    assert_eq!(dma.buffer(8), b"ABCD5678");
    assert_eq!(fw.item(key, 8), b"ABCDEFGH");
}

/// "QEMU prevents starting or finishing the write beyond the end of the item … Truncated writes are dropped entirely."
#[testjig::test(on = PcFwCfg, launch = with_address)]
fn a_write_across_the_end_is_dropped(fw: PcFwCfg) {
    for skipped in [0, 4, 7] {
        let key = fw.key(ADDRESS);
        let dma = Dma::new(&fw);
        assert_eq!(dma.write(key, b"ABCDEFGH"), Control::DONE, "{skipped:#x}");
        dma.set_buffer(b"123456789");
        assert_eq!(
            dma.run(Control::SKIP.of(key), skipped),
            Control::DONE,
            "{skipped:#x}"
        );
        assert_eq!(
            dma.run(Control::WRITE, 9 - skipped),
            Control::ERROR,
            "{skipped:#x}"
        );
        assert_eq!(fw.item(key, 9), b"ABCDEFGH\0", "{skipped:#x}");
    }
}

/// "prevents starting … the write beyond the end of the item"
#[testjig::test(on = PcFwCfg, launch = with_address)]
fn a_write_behind_the_end_fails(fw: PcFwCfg) {
    let key = fw.key(ADDRESS);
    let dma = Dma::new(&fw);
    assert_eq!(dma.run(Control::SKIP.of(key), 8), Control::DONE);
    dma.set_buffer(b"1");
    assert_eq!(dma.run(Control::WRITE, 1), Control::ERROR);
    assert_eq!(fw.item(key, 9), [0; 9]);
}

/// A write of what is not in memory fails.
#[testjig::test(on = PcFwCfg, launch = with_address)]
fn a_write_from_nowhere_fails(fw: PcFwCfg, vm: &Vm) {
    let end = vm
        .ram()
        .regions()
        .last()
        .expect("a machine with memory")
        .end();
    let dma = Dma::new(&fw);
    let control = Control::WRITE.of(fw.key(ADDRESS));
    assert_eq!(dma.run_at(control, 8, end), Control::ERROR);
    assert_eq!(dma.run_at(control, 8, end - 4), Control::ERROR);
}

/// [Selector] "writeability of any specific item is governed independently of Bit14 in the selector key value"
#[testjig::test(on = PcFwCfg, launch = with_address)]
fn the_write_bit_of_the_key_is_ignored(fw: PcFwCfg) {
    let key = fw.key(ADDRESS);
    let dma = Dma::new(&fw);
    assert_eq!(dma.write(key.with_write(true), b"ABCDEFGH"), Control::DONE);
    assert_eq!(fw.item(key, 8), b"ABCDEFGH");
    assert_eq!(
        dma.write(key.with_arch_local(true), b"12345678"),
        Control::ERROR
    );
    assert_eq!(fw.item(key, 8), b"ABCDEFGH");
}

/// [Data Register] "writes ignored as of QEMU v2.4, but see the DMA interface"
#[testjig::test(on = PcFwCfg, launch = with_address)]
fn the_data_register_writes_nothing(fw: PcFwCfg) {
    let key = fw.key(ADDRESS);
    fw.select(key.with_write(true));
    fw.write_byte(0x55);
    assert_eq!(fw.item(key, 8), [0; 8]);
}

/// Virtual Machine Generation ID Device (<https://www.qemu.org/docs/master/specs/vmgenid.html>): the address that the guest has given
/// is forgotten at a reset.
#[testjig::test(on = PcFwCfg, launch = with_address)]
fn vmgenid_forgets_its_address_at_a_reset(fw: PcFwCfg, vm: &Vm) {
    let key = fw.key(ADDRESS);
    assert_eq!(Dma::new(&fw).write(key, b"ABCDEFGH"), Control::DONE);
    vm.reset();
    assert_eq!(fw.item(key, 8), [0; 8]);
}

/// The same specification: the GUID is 40 bytes into a page of its own, and read-only.
#[testjig::test(on = PcFwCfg, launch = with_address)]
fn vmgenid_shows_its_guid(fw: PcFwCfg) {
    let guid = [
        0xaf, 0x6e, 0x4e, 0x32, 0xd1, 0xd1, 0xf6, 0x4b, 0xbf, 0x41, 0xb9, 0xbb, 0x6c, 0x91, 0xfb,
        0x87,
    ];
    let page = fw.file("etc/vmgenid_guid").expect("the GUID's page");
    assert_eq!(page.size, 4096);
    let dma = Dma::new(&fw);
    assert_eq!(dma.read(page.key, 64)[40..56], guid);
    assert_eq!(dma.write(page.key, b"x"), Control::ERROR);
}

const ADDRESS: &str = "etc/vmgenid_addr";

fn with_address(launch: Launch) -> Launch {
    launch.device(Device::new("vmgenid").prop("guid", "324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87"))
}

/// Virtual Machine coreinfo device (<https://www.qemu.org/docs/master/specs/vmcoreinfo.html>): `host_format` is 1, ELF, at first and
/// after a reset; the other fields are the guest's.
#[testjig::test(on = PcFwCfg, launch = |l| l.device(Device::new("vmcoreinfo")))]
fn vmcoreinfo_begins_anew_at_a_reset(fw: PcFwCfg, vm: &Vm) {
    let initial = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let file = fw.file("etc/vmcoreinfo").expect("the file");
    assert_eq!(file.size, 16);
    assert_eq!(fw.item(file.key, 16), initial);
    assert_eq!(Dma::new(&fw).write(file.key, &[0x55; 16]), Control::DONE);
    assert_eq!(fw.item(file.key, 16), [0x55; 16]);
    vm.reset();
    assert_eq!(fw.item(file.key, 16), initial);
}

/// A write tells the device: `ramfb` shows the picture from then on.
#[testjig::test(on = PcFwCfg, launch = with_ramfb)]
fn a_write_tells_the_device(fw: PcFwCfg, vm: &Vm) {
    paint(vm, [0x11, 0x22, 0x33]);
    assert_eq!(
        Dma::new(&fw).write(fw.key(RAMFB), &picture(32, 16)),
        Control::DONE
    );
    assert_eq!(screen(vm), ppm(32, 16, [0x11, 0x22, 0x33]));
}

/// Parts tell it too: the picture that is there after the last of them is shown.
#[testjig::test(on = PcFwCfg, launch = with_ramfb)]
fn a_write_of_a_part_tells_the_device(fw: PcFwCfg, vm: &Vm) {
    paint(vm, [0x44, 0x55, 0x66]);
    let dma = Dma::new(&fw);
    assert_eq!(dma.write(fw.key(RAMFB), &picture(32, 16)), Control::DONE);
    dma.set_buffer(&24_u32.to_be_bytes());
    assert_eq!(dma.run(Control::SKIP.of(fw.key(RAMFB)), 16), Control::DONE);
    assert_eq!(dma.run(Control::WRITE, 4), Control::DONE);
    assert_eq!(screen(vm), ppm(24, 16, [0x44, 0x55, 0x66]));
}

/// A write that fails does not.
#[testjig::test(on = PcFwCfg, launch = with_ramfb)]
fn a_write_that_fails_does_not_tell_the_device(fw: PcFwCfg, vm: &Vm) {
    paint(vm, [0x77, 0x88, 0x99]);
    let dma = Dma::new(&fw);
    assert_eq!(dma.write(fw.key(RAMFB), &picture(32, 16)), Control::DONE);
    let mut too_long = picture(8, 8);
    too_long.push(0);
    assert_eq!(dma.write(fw.key(RAMFB), &too_long), Control::ERROR);
    assert_eq!(screen(vm), ppm(32, 16, [0x77, 0x88, 0x99]));
}

const RAMFB: &str = "etc/ramfb";
const FRAME: u64 = 0x40_0000;

fn with_ramfb(launch: Launch) -> Launch {
    launch.device(Device::new("ramfb"))
}

/// `etc/ramfb`: address, format (`XR24`), flags, width, height, bytes a line (0 for as many as needed), all big-endian.
fn picture(width: u32, height: u32) -> Vec<u8> {
    let words = [u32::from_le_bytes(*b"XR24"), 0, width, height, 0];
    let words = words.into_iter().flat_map(u32::to_be_bytes);
    FRAME.to_be_bytes().into_iter().chain(words).collect()
}

/// All of the frame in one colour: red, green, blue.
fn paint(vm: &Vm, [red, green, blue]: [u8; 3]) {
    vm.write_mem(FRAME, &[blue, green, red, 0].repeat(32 * 16));
}

fn screen(vm: &Vm) -> Vec<u8> {
    let mut file = HostFile::new(b"");
    let answer = vm.hmp(&format!("screendump {}", file.path()));
    assert_eq!(answer.trim(), "");
    file.read()
}

/// What a screen of one colour is as a portable pixmap.
fn ppm(width: usize, height: usize, colour: [u8; 3]) -> Vec<u8> {
    let mut bytes = format!("P6\n{width} {height}\n255\n").into_bytes();
    bytes.extend(colour.repeat(width * height));
    bytes
}

/// The firmware's side of the ICH9's negotiation about SMIs, three files.
struct SmiFeatures {
    fw: FwCfg,
    supported: Key,
    requested: Key,
    ok: Key,
}

impl SmiFeatures {
    fn new(vm: &Vm) -> Self {
        let fw = FwCfg::io(vm);
        let key = |name| fw.key(&format!("etc/smi/{name}"));
        Self {
            supported: key("supported-features"),
            requested: key("requested-features"),
            ok: key("features-ok"),
            fw,
        }
    }

    fn supported(&self) -> u64 {
        self.fw.u64(self.supported)
    }

    fn requested(&self) -> u64 {
        self.fw.u64(self.requested)
    }

    fn request(&self, features: u64) -> Control {
        Dma::new(&self.fw).write(self.requested, &features.to_le_bytes())
    }

    /// Selecting the file is what asks the device for its verdict.
    fn ok(&self) -> u8 {
        self.fw.select(self.ok);
        self.fw.byte()
    }
}

testjig::graph!(|graph| {
    graph
        .edge("ICH9-LPC", |pc: &Q35| SmiFeatures::new(pc.vm()))
        .describe(|| Box::new(FwCfg::decoder()));
});

/// Selecting a file may have the device compute it: what is requested is granted if all of it is supported.
#[testjig::test(on = SmiFeatures)]
fn selecting_the_verdict_computes_it(smi: SmiFeatures) {
    assert_eq!(smi.supported() & 1, 1);
    assert_eq!(smi.request(1), Control::DONE);
    assert_eq!(smi.requested(), 1);
    assert_eq!(smi.ok(), 1);
    assert_eq!(smi.fw.byte(), 0);
}

/// What is not supported is not granted, and may be requested otherwise.
#[testjig::test(on = SmiFeatures)]
fn what_is_not_supported_is_not_granted(smi: SmiFeatures) {
    let unsupported = 1 << 63;
    assert_eq!(smi.supported() & unsupported, 0);
    assert_eq!(smi.request(unsupported), Control::DONE);
    assert_eq!(smi.ok(), 0);
    assert_eq!(smi.request(1), Control::DONE);
    assert_eq!(smi.ok(), 1);
}

/// "This has the same effect as writing the selector register": a selection by DMA asks for the verdict too, without reading anything.
#[testjig::test(on = SmiFeatures)]
fn selecting_by_dma_computes_the_verdict(smi: SmiFeatures) {
    assert_eq!(smi.request(1), Control::DONE);
    let dma = Dma::new(&smi.fw);
    assert_eq!(dma.run(Control::DONE.of(smi.ok), 0), Control::DONE);
    assert_eq!(smi.fw.byte(), 1);
}

/// The verdict is the device's own, and read-only, as is what is supported.
#[testjig::test(on = SmiFeatures)]
fn the_verdict_can_not_be_written(smi: SmiFeatures) {
    let dma = Dma::new(&smi.fw);
    assert_eq!(smi.request(1 << 63), Control::DONE);
    assert_eq!(dma.write(smi.ok, &[1]), Control::ERROR);
    assert_eq!(smi.ok(), 0);
    let supported = smi.supported();
    assert_eq!(dma.write(smi.supported, &[0xff; 8]), Control::ERROR);
    assert_eq!(smi.supported(), supported);
}

/// A reset begins the negotiation anew, with the files where they were.
#[testjig::test(on = SmiFeatures)]
fn a_reset_begins_the_negotiation_anew(smi: SmiFeatures, vm: &Vm) {
    smi.request(1);
    assert_eq!(smi.ok(), 1);
    vm.reset();
    assert_eq!(smi.requested(), 0);
    smi.request(1 << 63);
    assert_eq!(smi.ok(), 0);
}
