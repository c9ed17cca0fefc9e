//! Programs of shell script for the tests of probing, finding and fetching: [`FakeQemu`].

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A script that answers over QMP as a QEMU without a machine does.
#[derive(Clone, Copy)]
pub(crate) struct FakeQemu {
    pub(crate) target: &'static str,
    pub(crate) major: u32,
    pub(crate) qtest_accel: bool,
}

impl Default for FakeQemu {
    fn default() -> Self {
        Self {
            target: "x86_64",
            major: 11,
            qtest_accel: true,
        }
    }
}

impl FakeQemu {
    pub(crate) fn script(self) -> String {
        let Self {
            target,
            major,
            qtest_accel,
        } = self;
        format!(
            r#"#!/usr/bin/env bash
case "$*" in
    *--version*) echo "QEMU emulator version {major}.0.0"; exit ;;
    *"-accel qtest"*) {qtest_accel} || {{ echo "invalid accelerator qtest" >&2; exit 1; }} ;;
esac
[[ "$*" =~ fd=([0-9]+) ]] || exit 1
fd=${{BASH_REMATCH[1]}}
say() {{ printf '%s\r\n' "$1" >&"$fd"; }}
say '{{"QMP": {{"version": {{"qemu": {{"micro": 0, "minor": 0, "major": {major}}}, "package": "fake"}}, "capabilities": []}}}}'
while read -r line <&"$fd"; do
    [[ $line =~ \"id\":\ *([0-9]+) ]] || exit 1
    id=${{BASH_REMATCH[1]}}
    case $line in
        *query-target*) reply='{{"arch": "{target}"}}' ;;
        *query-machines*) reply='[{{"name": "pc-1", "alias": "pc", "cpu-max": 1, "default-ram-id": "pc.ram"}}, {{"name": "none", "cpu-max": 1}}]' ;;
        *user-creatable*) reply='[{{"name": "monitor-qmp"}}]' ;;
        *qom-list-types*) reply='[{{"name": "edu"}}]' ;;
        *) reply='{{}}' ;;
    esac
    say "{{\"return\": $reply, \"id\": $id}}"
done
"#
        )
    }

    /// Puts it into a directory under a name of its own.
    pub(crate) fn write(self, directory: &Path, name: &str) -> PathBuf {
        let path = directory.join(name);
        program(&path, &self.script());
        path
    }
}

/// Writes an executable file.
///
/// Another process does it: a descriptor that is open for writing here is inherited for a moment
/// by the children of other tests' threads, and the kernel executes no file that is open so.
pub(crate) fn program(path: &Path, text: &str) {
    let draft = path.with_extension("draft");
    fs::write(&draft, text).expect("a writable directory");
    let status = Command::new("install")
        .args(["-m", "755"])
        .args([draft.as_path(), path])
        .status();
    assert!(status.expect("coreutils").success());
    fs::remove_file(draft).expect("a writable directory");
}
