//! Compiles the agent, which runs inside guests and is not linked into anything here: static, for this kind of machine.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../agent/src");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    let variable = |name: &str| env::var(name).unwrap_or_default();
    let agent = PathBuf::from(variable("OUT_DIR")).join("agent");
    let is_tried = variable("CARGO_CFG_TARGET_OS") == "linux"
        && ["x86_64", "aarch64"].contains(&variable("CARGO_CFG_TARGET_ARCH").as_str());
    if !is_tried {
        // An empty program: no guests, and an error that says so.
        fs::write(&agent, []).expect("failed to write to OUT_DIR");
        return;
    }
    let mut command = Command::new(variable("RUSTC"));
    command
        .args(["--edition", "2024", "--crate-type", "bin"])
        .args(["--crate-name", "testjig_agent", "--cfg", "testjig_init"])
        .args(["--target", &variable("TARGET")])
        .args(["-C", "target-feature=+crt-static"])
        // Nothing in a guest gains from a random place, and relocating takes time there.
        .args(["-C", "relocation-model=static", "-C", "relro-level=off"])
        .args(["-C", "panic=abort", "-C", "opt-level=s"])
        .args(["-C", "strip=symbols"])
        // The same bytes wherever the source lies.
        .args(["--remap-path-prefix", "../agent/src=agent"])
        .arg("-o")
        .arg(&agent)
        .arg("../agent/src/lib.rs");
    // A compiler that needs to be told where it is needs it here, too; no other flag is for this program.
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
        .expect("failed to start rustc for the agent");
    assert!(status.success(), "failed to compile the agent: {status}");
}
