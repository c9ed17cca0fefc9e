//! The microvm, which has no ACPI to tell the kernel of its devices: it writes them into the kernel's command line at reset.

use testjig::prelude::*;
use testjig::qos::dev::fw_cfg::{Dma, FwCfg, Key};
use testjig::vm::machine;

use super::host_file::HostFile;
use super::kernel::linux;
use super::starting::start;

/// QEMU's `microvm`.
struct MicroVm(Vm);

/// Its device, as far as it is about the kernel.
struct KernelItems(FwCfg);

testjig::graph!(|graph| {
    graph.machine(&machine::MICROVM, |vm| MicroVm(vm.clone()));
    graph
        .edge("fw_cfg_io", |machine: &MicroVm| {
            KernelItems(FwCfg::io(&machine.0))
        })
        .describe(|| Box::new(FwCfg::decoder()));
});

impl KernelItems {
    fn command_line(&self) -> String {
        let size = self.0.u32(Key::CMDLINE_SIZE);
        let bytes = Dma::new(&self.0).read(Key::CMDLINE_DATA, size + 4);
        let (line, rest) = bytes.split_at(size as usize);
        assert_eq!(rest, [0; 4], "the line ends where its size says");
        let line = line
            .strip_suffix(b"\0")
            .expect("the size counts the terminating zero");
        String::from_utf8(line.to_vec()).expect("text")
    }
}

/// Linux's parameter `virtio_mmio.device=<size>@<address>:<interrupt>`, one for each device, behind what `-append` says.
#[testjig::test(on = KernelItems)]
fn virtio_devices_are_appended_to_the_command_line(qemu: &Qemu, launch: Launch) {
    let kernel = HostFile::new(&linux(0x203, 1));
    let (_vm, fw) = start(qemu, &with_kernel(launch, &kernel));
    let line = KernelItems(fw).command_line();
    let devices: Vec<_> = line
        .split(' ')
        .filter(|word| word.starts_with("virtio_mmio.device=512@0x"))
        .collect();
    assert!(line.starts_with("first second "), "{line}");
    assert_eq!(devices.len(), 2, "{line}");
}

/// A further reset appends nothing more.
#[testjig::test(on = KernelItems)]
fn devices_are_appended_once(qemu: &Qemu, launch: Launch) {
    let kernel = HostFile::new(&linux(0x203, 1));
    let (vm, fw) = start(qemu, &with_kernel(launch, &kernel));
    let items = KernelItems(fw);
    let line = items.command_line();
    vm.reset();
    assert_eq!(items.command_line(), line);
}

/// Without devices the command line is the one that was given.
#[testjig::test(on = KernelItems)]
fn without_devices_nothing_is_appended(qemu: &Qemu, launch: Launch) {
    let kernel = HostFile::new(&linux(0x203, 1));
    let launch = launch
        .machine_option("acpi", "off")
        .arg("-kernel")
        .arg(kernel.path());
    let (_vm, fw) = start(qemu, &launch.arg("-append").arg("only this"));
    assert_eq!(KernelItems(fw).command_line(), "only this");
}

fn with_kernel(launch: Launch, kernel: &HostFile) -> Launch {
    launch
        .machine_option("acpi", "off")
        .device(Device::new("virtio-serial-device"))
        .device(Device::new("virtio-rng-device"))
        .arg("-kernel")
        .arg(kernel.path())
        .arg("-append")
        .arg("first second")
}
