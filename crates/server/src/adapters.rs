//! Devices and memory of the rust-vmm world, unmodified, each behind the feature of its crate's name.

#[cfg(feature = "vm-device")]
mod io_manager {
    use vm_device::bus::{MmioAddress, PioAddress};
    use vm_device::device_manager::{IoManager, MmioManager, PioManager};

    use crate::vmm::{Memory, Ports};

    impl Ports for IoManager {
        fn port_read(&mut self, port: u16, data: &mut [u8]) {
            if self.pio_read(PioAddress(port), data).is_err() {
                data.fill(0xff);
            }
        }

        fn port_write(&mut self, port: u16, data: &[u8]) {
            // No device there: the bus takes it and nothing comes of it.
            let _ = self.pio_write(PioAddress(port), data);
        }
    }

    impl Memory for IoManager {
        fn memory_read(&mut self, addr: u64, data: &mut [u8]) {
            if self.mmio_read(MmioAddress(addr), data).is_err() {
                data.fill(0);
            }
        }

        fn memory_write(&mut self, addr: u64, data: &[u8]) {
            let _ = self.mmio_write(MmioAddress(addr), data);
        }
    }
}

#[cfg(feature = "vm-superio")]
mod superio {
    use std::convert::Infallible;
    use std::io::Write;

    use vm_superio::serial::SerialEvents;
    use vm_superio::{I8042Device, Serial, Trigger};

    use crate::workbench::{ByteDevice, Pin};

    impl Trigger for Pin {
        type E = Infallible;

        fn trigger(&self) -> Result<(), Infallible> {
            self.pulse();
            Ok(())
        }
    }

    impl<T: Trigger, EV: SerialEvents, W: Write> ByteDevice for Serial<T, EV, W> {
        fn read(&mut self, offset: u8) -> u8 {
            Serial::read(self, offset)
        }

        fn write(&mut self, offset: u8, value: u8) {
            // What can't be written is lost, as on a line that nobody listens to.
            let _ = Serial::write(self, offset, value);
        }
    }

    impl<T: Trigger> ByteDevice for I8042Device<T> {
        fn read(&mut self, offset: u8) -> u8 {
            I8042Device::read(self, offset)
        }

        fn write(&mut self, offset: u8, value: u8) {
            let _ = I8042Device::write(self, offset, value);
        }
    }
}

#[cfg(feature = "vm-memory")]
mod guest_memory {
    use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

    use crate::vmm::Memory;

    /// Holes read as zeroes.
    impl Memory for GuestMemoryMmap<()> {
        fn memory_read(&mut self, addr: u64, data: &mut [u8]) {
            data.fill(0);
            let _ = self.read_slice(data, GuestAddress(addr));
        }

        fn memory_write(&mut self, addr: u64, data: &[u8]) {
            let _ = self.write_slice(data, GuestAddress(addr));
        }
    }
}
