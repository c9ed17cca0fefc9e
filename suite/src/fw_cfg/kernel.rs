//! `-kernel`, `-initrd` and `-append`: what the firmware gets of a kernel to boot.
//!
//! Boot protocol: <https://docs.kernel.org/arch/x86/boot.html>, whose field names are used.

use testjig::prelude::*;
use testjig::qos::dev::fw_cfg::{Dma, FwCfg, Key};
use testjig::vm::Fault;

use super::host_file::HostFile;
use super::pc::PcFwCfg;
use super::starting::start;

/// Protocol 2.03: the kernel goes to 1 MiB, its real-mode part and its command line below 640 KiB.
#[testjig::test(on = PcFwCfg)]
fn a_kernel_comes_in_two_parts(qemu: &Qemu, launch: Launch) {
    let image = linux(0x203, 2);
    let (_vm, fw) = start(qemu, &with_kernel(launch, &HostFile::new(&image)));

    assert_eq!(fw.u32(Key::KERNEL_ADDR), 0x10_0000);
    assert_eq!(
        data(&fw, Key::KERNEL_SIZE, Key::KERNEL_DATA),
        image[3 * 512..]
    );
    assert_eq!(fw.u32(Key::SETUP_ADDR), 0x1_0000);
    let setup = data(&fw, Key::SETUP_SIZE, Key::SETUP_DATA);
    assert_eq!(setup.len(), 3 * 512);
    assert_eq!(setup[0x202..0x206], *b"HdrS");
    assert_eq!(fw.u32(Key::INITRD_SIZE), 0);
    assert_eq!(fw.u32(Key::KERNEL_ENTRY), 0);
}

/// Before protocol 2.02, or without any, the real-mode part is at 0x90000.
#[testjig::test(on = PcFwCfg, vary(protocol = [0x201, 0]))]
fn an_old_kernel_goes_elsewhere(qemu: &Qemu, launch: Launch, protocol: u16) {
    let image = linux(protocol, 1);
    let (_vm, fw) = start(qemu, &with_kernel(launch, &HostFile::new(&image)));
    let low = if protocol == 0 { 0x1_0000 } else { 0x10_0000 };
    assert_eq!(fw.u32(Key::KERNEL_ADDR), low);
    assert_eq!(fw.u32(Key::SETUP_ADDR), 0x9_0000);
    assert_eq!(data(&fw, Key::KERNEL_SIZE, Key::KERNEL_DATA), image[1024..]);
}

/// `-append`: the command line with a terminating zero, which its size counts.
#[testjig::test(on = PcFwCfg, vary(line = ["", "console=ttyS0 quiet"]))]
fn the_command_line_is_text_with_a_zero(qemu: &Qemu, launch: Launch, line: &'static str) {
    let kernel = HostFile::new(&linux(0x203, 1));
    let launch = with_kernel(launch, &kernel).arg("-append").arg(line);
    let (_vm, fw) = start(qemu, &launch);
    assert_eq!(fw.u32(Key::CMDLINE_ADDR), 0x2_0000);
    let expected = [line.as_bytes(), b"\0"].concat();
    assert_eq!(data(&fw, Key::CMDLINE_SIZE, Key::CMDLINE_DATA), expected);
    assert_eq!(
        fw.item(Key::CMDLINE_DATA, line.len() + 4)[line.len()..],
        [0; 4]
    );
}

/// `-initrd`: the RAM disk goes to the end of memory that the kernel allows, on a page of its own.
#[testjig::test(on = PcFwCfg)]
fn the_ram_disk_is_as_given(qemu: &Qemu, launch: Launch) {
    let content: Vec<u8> = (0..5000_u32).map(|n| (n % 241) as u8).collect();
    let (kernel, disk) = (HostFile::new(&linux(0x203, 1)), HostFile::new(&content));
    let launch = with_kernel(launch, &kernel).arg("-initrd").arg(disk.path());
    let (_vm, fw) = start(qemu, &launch);

    assert!(data(&fw, Key::INITRD_SIZE, Key::INITRD_DATA) == content);
    let address = fw.u32(Key::INITRD_ADDR);
    assert_eq!(address % 4096, 0);
    let end = u64::from(address) + content.len() as u64;
    assert!(end < launch.memory_size(), "{end:#x}");
}

/// The kernel as it was given is a file, without what QEMU writes into its header.
#[testjig::test(on = PcFwCfg)]
fn the_kernel_is_a_file_too(qemu: &Qemu, launch: Launch) {
    if qemu.version.major < 10 {
        Fault::skip("the file etc/boot/kernel came with QEMU 10.0").raise();
    }
    let image = linux(0x203, 1);
    let (_vm, fw) = start(qemu, &with_kernel(launch, &HostFile::new(&image)));
    assert!(fw.contents("etc/boot/kernel") == image);
}

/// x86/HVM direct boot (<https://xenbits.xen.org/docs/unstable/misc/pvh.html>): an ELF file with the note XEN_ELFNOTE_PHYS32_ENTRY
/// begins where that says.
#[testjig::test(on = PcFwCfg)]
fn a_pvh_kernel_has_an_entry(qemu: &Qemu, launch: Launch) {
    let kernel = HostFile::new(&pvh(0x10_0000, 0x10_0040));
    let launch = with_kernel(launch, &kernel).arg("-append").arg("pvh");
    let (_vm, fw) = start(qemu, &launch);
    assert_eq!(fw.u32(Key::KERNEL_ADDR), 0x10_0000);
    assert_eq!(fw.u32(Key::KERNEL_SIZE), 0x100);
    assert_eq!(fw.u32(Key::KERNEL_ENTRY), 0x10_0040);
    assert_eq!(data(&fw, Key::CMDLINE_SIZE, Key::CMDLINE_DATA), b"pvh\0");
    assert_eq!(fw.item(Key::SETUP_DATA, 4), *b"\x7fELF");
}

/// Multiboot 0.6.96 §3.1: the header with addresses says where the kernel goes and begins; what the loader tells it goes the way of a
/// RAM disk.
#[testjig::test(on = PcFwCfg)]
fn a_multiboot_kernel_goes_where_its_header_says(qemu: &Qemu, launch: Launch) {
    let image = multiboot(0x20_0000, 0x20_0020);
    let (_vm, fw) = start(qemu, &with_kernel(launch, &HostFile::new(&image)));
    assert_eq!(fw.u32(Key::KERNEL_ADDR), 0x20_0000);
    assert_eq!(fw.u32(Key::KERNEL_ENTRY), 0x20_0020);
    assert_eq!(fw.item(Key::KERNEL_DATA, 64), image[..64]);
    assert!(fw.u32(Key::INITRD_SIZE) > 0);
}

fn with_kernel(launch: Launch, kernel: &HostFile) -> Launch {
    launch.arg("-kernel").arg(kernel.path())
}

/// An item whose size is another item.
fn data(fw: &FwCfg, size: Key, data: Key) -> Vec<u8> {
    Dma::new(fw).read(data, fw.u32(size))
}

/// A kernel of `sectors` of set-up code behind the boot sector and 700 bytes of its own; of protocol 0, one without header.
pub(super) fn linux(protocol: u16, sectors: u8) -> Vec<u8> {
    let setup = (usize::from(sectors) + 1) * 512;
    let mut image = vec![0; setup];
    image[0x1f1] = sectors; // setup_sects
    image[0x1fe..0x200].copy_from_slice(&0xaa55_u16.to_le_bytes()); // boot_flag
    if protocol != 0 {
        image[0x202..0x206].copy_from_slice(b"HdrS"); // header
        image[0x206..0x208].copy_from_slice(&protocol.to_le_bytes()); // version
        image[0x211] = 1; // loadflags: LOADED_HIGH
        image[0x22c..0x230].copy_from_slice(&0x37ff_ffff_u32.to_le_bytes()); // initrd_addr_max
    }
    image.extend((0..700_u32).map(|n| (n % 239) as u8));
    image
}

/// A 32-bit ELF file of 0x100 bytes in memory at `address`, with the note that it begins at `entry`. Fields of 16 bits come in pairs,
/// the later one above.
fn pvh(address: u32, entry: u32) -> Vec<u8> {
    const NOTE_AT: u32 = 0x20;
    const NOTE_LEN: u32 = 20;
    let words = |words: &[u32]| {
        words
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect::<Vec<u8>>()
    };
    let mut image = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    image.extend(words(&[0x0003_0002, 1, entry, 52, 0, 0, 0x0020_0034, 2, 0]));
    image.truncate(52);
    image.extend(words(&[
        1, 0x1000, address, address, 0x80, 0x100, 5, 0x1000,
    ])); // PT_LOAD
    let note = address + NOTE_AT;
    image.extend(words(&[
        4,
        0x1000 + NOTE_AT,
        note,
        note,
        NOTE_LEN,
        NOTE_LEN,
        4,
        4,
    ])); // PT_NOTE
    image.resize(0x1000 + NOTE_AT as usize, 0);
    image.extend(words(&[4, 4, 18]));
    image.extend(b"Xen\0");
    image.extend(words(&[entry]));
    image.resize(0x1080, 0x90);
    image
}

/// A flat kernel with a multiboot header of its own addresses.
fn multiboot(address: u32, entry: u32) -> Vec<u8> {
    const MAGIC: u32 = 0x1bad_b002;
    const HAS_ADDRESSES: u32 = 1 << 16;
    let checksum = 0_u32.wrapping_sub(MAGIC).wrapping_sub(HAS_ADDRESSES);
    let end = address + 0x1000;
    let header = [
        MAGIC,
        HAS_ADDRESSES,
        checksum,
        address,
        address,
        end,
        end,
        entry,
    ];
    let mut image: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
    image.resize(0x1000, 0x90);
    image
}
