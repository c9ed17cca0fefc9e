use testjig_qos::dev::acpi_pci_hotplug::AcpiPciHotplug;

use crate::machines::Pc;

crate::graph!(|graph| {
    graph
        .edge("acpi-pci-hotplug", |pc: &Pc| AcpiPciHotplug::new(pc.vm()))
        .describe(|| Box::new(AcpiPciHotplug::decoder()));
});
