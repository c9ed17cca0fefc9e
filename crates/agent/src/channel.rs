//! The channel to the host: a virtio-serial port, found by its name, or a serial port.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::sys;

/// How long the port may take to appear once the drivers are loaded.
const PATIENCE: Duration = Duration::from_secs(20);
/// A port has its name a moment after it is announced.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Opens the channel of that name, which may be still to come.
pub(crate) fn open(name: &str) -> Result<File, String> {
    // From before the first look: what comes after it wakes this.
    let uevents = sys::uevent_socket();
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(channel) = at_once(name)? {
            return Ok(channel);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(format!(
                "there is no virtio-serial port and no tty named {name}, so no channel to the host"
            ));
        }
        match &uevents {
            Ok(socket) => sys::wait_readable(socket, left.min(LOOK_AGAIN)),
            Err(_) => thread::sleep(left.min(LOOK_AGAIN)),
        }
    }
}

/// Opens the channel of that name if it is there.
pub(crate) fn at_once(name: &str) -> Result<Option<File>, String> {
    let Some(path) = find(name) else {
        return Ok(None);
    };
    let failed = |error| format!("failed to open the channel {}: {error}", path.display());
    let file = open_both_ways(&path).map_err(failed)?;
    if name.starts_with("tty") {
        sys::make_raw(&file).map_err(failed)?;
    }
    Ok(Some(file))
}

fn find(name: &str) -> Option<PathBuf> {
    if name.starts_with("tty") {
        let path = Path::new("/dev").join(name);
        return path.exists().then_some(path);
    }
    port(name)
}

fn open_both_ways(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

/// The device of the virtio-serial port of that name.
fn port(name: &str) -> Option<PathBuf> {
    let ports = fs::read_dir("/sys/class/virtio-ports").ok()?.flatten();
    let named = |port: &fs::DirEntry| {
        let its = fs::read_to_string(port.path().join("name"));
        its.is_ok_and(|its| its.trim_end() == name)
    };
    let port = ports.into_iter().find(named)?;
    let device = Path::new("/dev").join(port.file_name());
    device.exists().then_some(device)
}
