use testjig_qos::dev::virtio_serial::VirtioSerial;
use testjig_qos::pci::Pci;
use testjig_qos::virtio::MmioSlots;
use testjig_vm::{Chardev, Device, Launch};

use super::virtio::{
    LegacySlots, Modern, decoder, first, in_mmio, in_pci, legacy, modern, modern_slots,
};
use crate::machines::{Microvm, Pseries, Q35};

/// Ids of the backends of the graph's virtio console device, by port: `vm.channel(VIRTIO_SERIAL_CHARDEVS[port])` is the other end.
///
/// Port 0 is a console, the others are not; port 1 has a [name](VIRTIO_SERIAL_NAME).
pub const VIRTIO_SERIAL_CHARDEVS: [&str; 3] = ["console", "one", "two"];
/// Id of the device itself; that of its bus is the same with `.0` after it.
pub const VIRTIO_SERIAL_ID: &str = "serial";
/// Most ports that it may have: more than it has at first.
pub const VIRTIO_SERIAL_MAX_PORTS: u32 = 5;
/// The name of port 1; the id of its device is `port1`.
pub const VIRTIO_SERIAL_NAME: &str = "testjig.one";

fn plugged(launch: Launch, plug: fn(Launch, Device) -> Launch, driver: &str) -> Launch {
    let controller = Device::new(driver)
        .id(VIRTIO_SERIAL_ID)
        .prop("max_ports", VIRTIO_SERIAL_MAX_PORTS);
    let launch = plug(launch.global("virtio-device", "packed", "on"), controller);
    let ports = VIRTIO_SERIAL_CHARDEVS.into_iter().enumerate();
    ports.fold(launch, |launch, (number, chardev)| {
        let driver = if number == 0 {
            "virtconsole"
        } else {
            "virtserialport"
        };
        let mut port = Device::new(driver)
            .id(format!("port{number}"))
            .bus(format!("{VIRTIO_SERIAL_ID}.0"))
            .prop("chardev", chardev)
            .prop("nr", number);
        if number == 1 {
            port = port.prop("name", VIRTIO_SERIAL_NAME);
        }
        launch.chardev(Chardev::socket(chardev)).device(port)
    })
}

fn pci(launch: Launch) -> Launch {
    plugged(launch, in_pci, "virtio-serial-pci")
}

fn pci_legacy(launch: Launch) -> Launch {
    plugged(launch, in_pci, "virtio-serial-pci-transitional")
}

fn mmio(launch: Launch) -> Launch {
    plugged(launch, in_mmio, "virtio-serial-device")
}

crate::graph!(|graph| {
    // Everywhere.
    graph
        .edge("virtio-serial-pci", |pci: &Pci| {
            VirtioSerial::new(modern(pci))
        })
        .describe(decoder)
        .launch(pci);
    graph
        .edge("virtio-serial-pci-transitional", |pci: &Pci| {
            VirtioSerial::new(legacy(pci))
        })
        .describe(decoder)
        .launch(pci_legacy);
    graph
        .edge("virtio-serial-device", |slots: &MmioSlots| {
            VirtioSerial::new(first(slots))
        })
        .launch(mmio);
    graph
        .edge("virtio-serial-device", |slots: &LegacySlots| {
            VirtioSerial::new(first(&slots.0))
        })
        .launch(mmio);

    // Where one of each kind will do.
    graph
        .edge("virtio-serial-pci", |q35: &Q35| {
            Modern(VirtioSerial::new(modern(&Pci::q35(q35.vm()))))
        })
        .describe(decoder)
        .launch(pci);
    graph
        .edge("virtio-serial-pci", |server: &Pseries| {
            Modern(VirtioSerial::new(modern(&Pci::pseries(server.vm()))))
        })
        .launch(pci);
    graph
        .edge("virtio-serial-device", |vm: &Microvm| {
            Modern(VirtioSerial::new(first(&MmioSlots::microvm(vm.vm()))))
        })
        .describe(decoder)
        .launch(|launch| mmio(modern_slots(launch)));
});
