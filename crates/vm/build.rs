//! Compiles the preload library, which runs inside QEMU and is not linked into anything here.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../preload/src");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    let variable = |name: &str| env::var(name).unwrap_or_default();
    let library = PathBuf::from(variable("OUT_DIR")).join("preload.so");
    let is_tried = variable("CARGO_CFG_TARGET_OS") == "linux"
        && variable("CARGO_CFG_TARGET_ENV") == "gnu"
        && ["x86_64", "aarch64"].contains(&variable("CARGO_CFG_TARGET_ARCH").as_str());
    if !is_tried {
        // An empty library: no templates, every machine a fresh process.
        fs::write(&library, []).expect("failed to write to OUT_DIR");
        return;
    }
    let mut command = Command::new(variable("RUSTC"));
    command
        .args(["--edition", "2024", "--crate-type", "cdylib"])
        .args(["--crate-name", "testjig_preload"])
        .args(["--cfg", "testjig_preload"])
        .args(["--target", &variable("TARGET")])
        .args(["-C", "panic=abort", "-C", "opt-level=s"])
        .args(["-C", "strip=symbols", "-C", "relocation-model=pic"])
        // The C library is QEMU's own, whichever that is: no version of a symbol is asked for.
        .args(["-C", "link-arg=-nostdlib"])
        // `core` was compiled for unwinding, which nothing here does.
        .args(["-C", "link-arg=-Wl,--defsym=rust_eh_personality=0"])
        .arg("-o")
        .arg(&library)
        .arg("../preload/src/lib.rs");
    // A compiler that needs to be told where it is needs it here, too; no other flag is for this library.
    let flags = variable("CARGO_ENCODED_RUSTFLAGS");
    let mut flags = flags.split('\x1f');
    while let Some(flag) = flags.next() {
        if flag == "--sysroot" {
            command.arg(flag).args(flags.next());
        } else if flag.starts_with("--sysroot=") {
            command.arg(flag);
        }
    }
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        command.arg("-C").arg(format!("linker={linker}"));
    }
    let status = command
        .status()
        .expect("failed to start rustc for the preload library");
    assert!(
        status.success(),
        "failed to compile the preload library: {status}"
    );
}
