use testjig_qos::dev::ds1338::{ADDRESS, Ds1338};
use testjig_qos::i2c::{I2c, ImxI2c, Sbcon};
use testjig_vm::{Device, Launch};

use crate::machines::{Imx25Pdk, Mps2An385};

/// Where the i.MX25 has its second I²C controller, whose bus QEMU calls `i2c-bus.1` (IMX25RM, memory map).
const IMX25_I2C2: u64 = 0x43f9_8000;
/// Where the MPS2 has the serial bus of its second shield (DAI 0385, memory map). QEMU has four buses `i2c`, and takes this one.
const MPS2_SHIELD1: u64 = 0x4002_a000;

/// The chip on a bus.
fn clock(launch: Launch, bus: &str) -> Launch {
    let chip = Device::new("ds1338").bus(bus);
    launch.device(chip.prop("address", ADDRESS))
}

crate::graph!(|graph| {
    graph
        .edge("imx.i2c", |kit: &Imx25Pdk| {
            ImxI2c::new(kit.vm(), IMX25_I2C2)
        })
        .launch(|launch| clock(launch, "i2c-bus.1"));
    graph
        .edge("versatile_i2c", |board: &Mps2An385| {
            Sbcon::new(board.vm(), MPS2_SHIELD1)
        })
        .launch(|launch| clock(launch, "i2c"));
    graph.edge("i2c-bus", |controller: &ImxI2c| {
        I2c::new(controller.clone())
    });
    graph.edge("i2c-bus", |lines: &Sbcon| I2c::new(lines.clone()));
    graph.edge("ds1338", |bus: &I2c| Ds1338::new(bus));
});
