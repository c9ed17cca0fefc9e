//! What QEMU's monitor can be told, remembered: [`Schemas`].
//!
//! QEMU takes some 50 ms to tell it, which is as long as many a test has to wait for its guest, and it is the same each time.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use sha2::{Digest, Sha256};
use testjig_qmp::commands::QueryQmpSchema;
use testjig_qmp::{Qmp, Schema};
use testjig_vm::Qemu;

use crate::snapshot;

/// The schema of one QEMU, from a file if an equal QEMU has told it before.
#[derive(Debug)]
pub(crate) struct Schemas {
    /// Where it is kept.
    path: Option<PathBuf>,
    schema: OnceLock<Schema>,
}

impl Schemas {
    /// That of this QEMU, kept in the directory.
    pub(crate) fn new(home: &Path, qemu: &Qemu) -> Self {
        let mut key = Sha256::new();
        // One of which nothing is known is asked each time.
        let path = snapshot::add_program(&mut key, qemu).ok().map(|()| {
            let key = const_hex::encode(key.finalize());
            home.join(format!("{}.json", &key[..32]))
        });
        Self {
            path,
            schema: OnceLock::new(),
        }
    }

    /// Reads what is remembered, so that it is there when it is wanted.
    pub(crate) fn recall(&self) {
        let text = self.path.as_ref().and_then(|path| fs::read(path).ok());
        if let Some(schema) = text.and_then(|text| serde_json::from_slice(&text).ok()) {
            let _ = self.schema.set(schema);
        }
    }

    /// The schema, from the QEMU of this monitor if it is not known yet.
    pub(crate) fn of(&self, qmp: &mut Qmp) -> Result<&Schema, String> {
        if self.schema.get().is_none() {
            self.recall();
        }
        if let Some(schema) = self.schema.get() {
            return Ok(schema);
        }
        let told = qmp.execute(&QueryQmpSchema);
        let told = told.map_err(|error| error.to_string())?;
        // What can't be kept is asked again.
        let _ = self.keep(&told);
        Ok(self.schema.get_or_init(|| told))
    }

    fn keep(&self, schema: &Schema) -> io::Result<()> {
        let Some((path, home)) = self
            .path
            .as_ref()
            .and_then(|path| Some((path, path.parent()?)))
        else {
            return Ok(());
        };
        fs::create_dir_all(home)?;
        let file = tempfile::NamedTempFile::new_in(home)?;
        serde_json::to_writer(&file, schema)?;
        file.persist(path)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixStream;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;

    fn schemas(path: &Path) -> Schemas {
        Schemas {
            path: Some(path.to_owned()),
            schema: OnceLock::new(),
        }
    }

    /// A monitor that tells its schema once, and then hangs up.
    fn monitor() -> Qmp {
        let (ours, mut its) = UnixStream::pair().expect("sockets");
        thread::spawn(move || {
            let version = r#"{"qemu":{"major":11,"minor":1,"micro":3},"package":""}"#;
            let greeting = format!(r#"{{"QMP":{{"version":{version},"capabilities":[]}}}}"#);
            writeln!(its, "{greeting}").expect("it listens");
            let asked = BufReader::new(its.try_clone().expect("a socket"));
            for line in asked.lines().map_while(Result::ok).take(2) {
                let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
                let reply = if line["execute"] == "query-qmp-schema" {
                    r#"[{"name":"quit","meta-type":"command"}]"#
                } else {
                    "{}"
                };
                writeln!(its, r#"{{"return":{reply},"id":{}}}"#, line["id"]).expect("it listens");
            }
        });
        Qmp::connect(ours, Instant::now() + Duration::from_secs(10)).expect("a monitor")
    }

    #[test]
    fn a_monitor_is_asked_once_and_an_equal_one_not_at_all() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("new/a.json");
        let mut qmp = monitor();
        let first = schemas(&path);
        assert!(first.of(&mut qmp).expect("it tells").has_command("quit"));
        assert!(first.of(&mut qmp).is_ok(), "it is not asked again");
        let second = schemas(&path);
        assert!(second.of(&mut qmp).expect("kept").has_command("quit"));
        fs::write(&path, "no schema").expect("writable");
        assert!(schemas(&path).of(&mut qmp).is_err(), "it has hung up");
    }
}
