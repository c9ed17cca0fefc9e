//! What `-boot` tells the firmware: the menu, how long to wait, the picture.

use testjig::prelude::*;
use testjig::qos::dev::fw_cfg::{FwCfg, Key};

use super::host_file::HostFile;
use super::starting::{assert_declined, start};

/// `menu=`: whether the firmware is to offer its boot menu.
#[testjig::test(on = FwCfg, launch = |l| l.boot("menu", menu), vary(menu = ["on", "off"]))]
fn the_boot_menu_is_as_asked_for(fw: FwCfg, menu: &'static str) {
    assert_eq!(fw.u16(Key::BOOT_MENU), u16::from(menu == "on"));
    assert_eq!(fw.byte(), 0);
}

/// Without a word about it there is no boot menu.
#[testjig::test(on = FwCfg)]
fn there_is_no_boot_menu_unasked(fw: FwCfg) {
    assert_eq!(fw.u16(Key::BOOT_MENU), 0);
}

/// `splash-time=`: milliseconds for the menu and the picture, 16 bits.
#[testjig::test(on = FwCfg, launch = |l| l.boot("splash-time", ms), vary(ms = [0, 0x1234, 0xffff]))]
fn the_splash_time_is_a_file(fw: FwCfg, ms: u16) {
    assert_eq!(fw.contents(SPLASH_TIME), ms.to_le_bytes());
}

/// Without a word about it the firmware decides.
#[testjig::test(on = FwCfg)]
fn there_is_no_splash_time_unasked(fw: FwCfg) {
    assert_eq!(fw.file(SPLASH_TIME), None);
}

/// A splash time that does not fit is declined.
#[testjig::test(on = FwCfg, vary(ms = [-1, 0x1_0000, 0x1_0000_0000_i64]))]
fn a_splash_time_of_more_than_16_bits_is_declined(qemu: &Qemu, launch: Launch, ms: i64) {
    assert_declined(
        qemu,
        &launch.boot("splash-time", ms),
        "splash-time is invalid",
    );
}

/// `reboot-timeout=`: milliseconds until a failed boot is tried again, 32 bits; -1 is never.
#[testjig::test(on = FwCfg, launch = |l| l.boot("reboot-timeout", ms), vary(ms = [-1, 0, 0x1234, 0xffff]))]
fn the_reboot_timeout_is_a_file(fw: FwCfg, ms: i32) {
    assert_eq!(fw.contents(REBOOT_TIMEOUT), ms.to_le_bytes());
}

/// Without a word about it a failed boot is never tried again.
#[testjig::test(on = FwCfg)]
fn a_failed_boot_is_final_unasked(fw: FwCfg) {
    assert_eq!(fw.contents(REBOOT_TIMEOUT), [0xff; 4]);
}

/// A reboot timeout that does not fit is declined.
#[testjig::test(on = FwCfg, vary(ms = [-2, 0x1_0000, 0x1_0000_0000_i64]))]
fn a_reboot_timeout_of_more_than_16_bits_is_declined(qemu: &Qemu, launch: Launch, ms: i64) {
    assert_declined(
        qemu,
        &launch.boot("reboot-timeout", ms),
        "reboot timeout is invalid",
    );
}

/// Menu, times and picture do not disturb each other.
#[testjig::test(on = FwCfg)]
fn boot_settings_may_be_combined(qemu: &Qemu, launch: Launch) {
    let picture = HostFile::new(&jpeg(40));
    let launch = launch
        .boot("menu", "on")
        .boot("splash-time", 7)
        .boot("reboot-timeout", 8)
        .boot("splash", picture.path());
    let (_vm, fw) = start(qemu, &launch);
    assert_eq!(fw.u16(Key::BOOT_MENU), 1);
    assert_eq!(fw.contents(SPLASH_TIME), [7, 0]);
    assert_eq!(fw.contents(REBOOT_TIMEOUT), [8, 0, 0, 0]);
    assert_eq!(fw.contents(JPEG), jpeg(40));
}

/// `splash=`: a JPEG, told by its first two bytes, is the file `bootsplash.jpg`; the shortest has 30 bytes.
#[testjig::test(on = FwCfg, vary(len = [30, 5000]))]
fn a_jpeg_becomes_the_picture(qemu: &Qemu, launch: Launch, len: usize) {
    let (_vm, fw) = with_picture(qemu, launch, &jpeg(len));
    assert!(fw.contents(JPEG) == jpeg(len));
    assert_eq!(fw.file(BITMAP), None);
}

/// `splash=`: a bitmap of 24 bits a pixel is the file `bootsplash.bmp`.
#[testjig::test(on = FwCfg, vary(len = [30, 5000]))]
fn a_bitmap_becomes_the_picture(qemu: &Qemu, launch: Launch, len: usize) {
    let (_vm, fw) = with_picture(qemu, launch, &bitmap(len, 24));
    assert!(fw.contents(BITMAP) == bitmap(len, 24));
    assert_eq!(fw.file(JPEG), None);
}

/// Anything else is no picture, and the machine starts without one: too short, another depth, another format.
#[testjig::test(on = FwCfg, vary(bad = [Bad::ShortJpeg, Bad::ShortBitmap, Bad::Empty, Bad::Depth16, Bad::Depth32, Bad::SwappedJpeg, Bad::Other]))]
fn what_is_no_picture_is_left_out(qemu: &Qemu, launch: Launch, bad: Bad) {
    let (vm, fw) = with_picture(qemu, launch, &bad.bytes());
    assert_eq!((fw.file(JPEG), fw.file(BITMAP)), (None, None));
    assert!(vm.stderr().contains("not recognized"), "{}", vm.stderr());
}

/// A directory is no picture either.
#[testjig::test(on = FwCfg, launch = |l| l.boot("splash", "/"))]
fn a_directory_is_left_out(fw: FwCfg, vm: &Vm) {
    assert_eq!((fw.file(JPEG), fw.file(BITMAP)), (None, None));
    assert!(
        vm.stderr().contains("failed to read splash file '/'"),
        "{}",
        vm.stderr()
    );
}

/// The machine starts without a picture that is not there.
#[testjig::test(on = FwCfg, launch = |l| l.boot("splash", "/nonexistent/picture").boot("splash-time", 9))]
fn a_missing_picture_is_left_out(fw: FwCfg, vm: &Vm) {
    assert_eq!((fw.file(JPEG), fw.file(BITMAP)), (None, None));
    assert_eq!(fw.contents(SPLASH_TIME), [9, 0]);
    assert!(
        vm.stderr().contains("/nonexistent/picture"),
        "{}",
        vm.stderr()
    );
}

fn with_picture(qemu: &Qemu, launch: Launch, bytes: &[u8]) -> (Vm, FwCfg) {
    let picture = HostFile::new(bytes);
    start(qemu, &launch.boot("splash", picture.path()))
}

/// ISO/IEC 10918-1, annex B: a JPEG begins with the marker SOI, 0xff 0xd8.
fn jpeg(len: usize) -> Vec<u8> {
    picture(*b"\xff\xd8", len)
}

/// A Windows bitmap begins with `BM`; the bits of a pixel are at offset 28.
fn bitmap(len: usize, depth: u8) -> Vec<u8> {
    let mut bytes = picture(*b"BM", len.max(30));
    bytes[28..30].copy_from_slice(&[depth, 0]);
    bytes.truncate(len);
    bytes
}

fn picture(magic: [u8; 2], len: usize) -> Vec<u8> {
    let body = (2..len).map(|n| (n % 253) as u8);
    magic.into_iter().chain(body).collect()
}

#[derive(Clone, Copy, Debug)]
enum Bad {
    ShortJpeg,
    ShortBitmap,
    Empty,
    Depth16,
    Depth32,
    SwappedJpeg,
    Other,
}

impl Bad {
    fn bytes(self) -> Vec<u8> {
        match self {
            Self::ShortJpeg => jpeg(29),
            Self::ShortBitmap => bitmap(29, 24),
            Self::Empty => Vec::new(),
            Self::Depth16 => bitmap(100, 16),
            Self::Depth32 => bitmap(100, 32),
            Self::SwappedJpeg => picture(*b"\xd8\xff", 100),
            Self::Other => picture(*b"\x89P", 100),
        }
    }
}

const SPLASH_TIME: &str = "etc/boot-menu-wait";
const REBOOT_TIMEOUT: &str = "etc/boot-fail-wait";
const JPEG: &str = "bootsplash.jpg";
const BITMAP: &str = "bootsplash.bmp";
