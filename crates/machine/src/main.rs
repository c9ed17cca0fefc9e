//! The embedded machine as a program of its own: `testjig-machine -machine pc -qtest unix:/tmp/socket`, as if it were QEMU.

use std::process::ExitCode;

fn main() -> ExitCode {
    testjig_machine::main(std::env::args().skip(1)).into()
}
