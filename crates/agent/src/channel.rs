//! The channel to the host: a virtio-serial port, found by its name, or a serial port.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::sys;
use crate::uevents::Uevents;

/// How long the port may take to appear once the drivers are loaded.
const PATIENCE: Duration = Duration::from_secs(20);

/// Opens the channel of that name.
pub(crate) fn open(name: &str, uevents: &Uevents) -> Result<File, String> {
    let deadline = Instant::now() + PATIENCE;
    let serial = name
        .starts_with("tty")
        .then(|| Path::new("/dev").join(name));
    loop {
        let path = serial
            .clone()
            .filter(|path| path.exists())
            .or_else(|| port(name));
        if let Some(path) = path {
            let failed = |error| format!("failed to open the channel {}: {error}", path.display());
            let file = open_both_ways(&path).map_err(failed)?;
            if serial.is_some() {
                sys::make_raw(&file).map_err(failed)?;
            }
            return Ok(file);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(format!(
                "there is no virtio-serial port and no tty named {name}, so no channel to the host"
            ));
        }
        uevents.pause(left.min(Duration::from_millis(100)));
    }
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
