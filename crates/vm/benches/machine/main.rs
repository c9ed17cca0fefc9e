//! What a machine costs, each figure beside that of the plainest client of the same QEMU in the same run.

mod isolation;
mod life;
mod plain;
mod wire;

fn main() {
    plain::qemu();
    divan::main();
}
