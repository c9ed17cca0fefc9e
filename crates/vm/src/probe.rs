//! Asks a binary what it is, by starting it once without a machine: [`facts`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::binary::{Capabilities, Invocation, Version};
use crate::{Cache, FindError, FindErrorKind};

mod process;

use process::{End, Transcript};

/// How long a binary may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a binary says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// QEMU's name of the architecture it emulates.
    pub(crate) target: String,
    pub(crate) version: Version,
    pub(crate) caps: Capabilities,
}

/// What the binary says of itself: from the cache if nothing of it has changed, else by asking.
pub(crate) fn facts(invocation: &Invocation, _cache: &Cache) -> Result<Facts, FindError> {
    ask(invocation, PATIENCE)
}

/// Arguments of a QEMU that has nothing and does nothing but answer on its standard input, which
/// is a socket. Each of them exists in 7.2 as in 11.1.
const BARE: [&str; 10] = [
    "-machine",
    "none",
    "-nodefaults",
    "-no-user-config",
    "-display",
    "none",
    "-chardev",
    "socket,id=qmp,fd=0",
    "-mon",
    "chardev=qmp,mode=control",
];

/// All that is asked, in one go. The last makes it end by itself, should nobody be left to end it.
const QUESTIONS: &str = concat!(
    r#"{"execute":"qmp_capabilities"}"#,
    r#"{"execute":"query-target","id":"target"}"#,
    r#"{"execute":"query-machines","id":"machines"}"#,
    r#"{"execute":"qom-list-types","id":"devices","arguments":{"implements":"device","abstract":false}}"#,
    r#"{"execute":"qom-list-types","id":"objects","arguments":{"implements":"user-creatable","abstract":false}}"#,
    r#"{"execute":"quit","id":"end"}"#,
);

/// Starts the binary with the qtest accelerator and, if it refuses, without.
fn ask(invocation: &Invocation, patience: Duration) -> Result<Facts, FindError> {
    let deadline = Instant::now() + patience;
    let mut last = None;
    for (qtest_accel, accel) in [
        (true, &["-accel", "qtest"][..]),
        (false, &["-accel", "tcg", "-S"]),
    ] {
        let mut command = invocation.command();
        command.args(BARE).args(accel);
        let transcript = process::converse(command, QUESTIONS.as_bytes(), deadline)
            .map_err(|error| not_started(&invocation.program, &invocation.subject, error))?;
        let answers = Answers::read(&transcript.answers);
        if let Some(answers) = answers.filter(|answers| answers.complete) {
            return answers
                .facts(qtest_accel)
                .map_err(|text| FindError::of(&invocation.subject, FindErrorKind::Answer(text)));
        }
        if matches!(transcript.end, End::Deadline | End::Flood) {
            last = Some(transcript);
            break;
        }
        last = Some(transcript);
    }
    let last = last.expect("the loop ran");
    Err(FindError::of(
        &invocation.subject,
        unanswered(invocation, &last, patience, deadline),
    ))
}

/// Names what a binary is that gave no answers.
fn unanswered(
    invocation: &Invocation,
    last: &Transcript,
    patience: Duration,
    deadline: Instant,
) -> FindErrorKind {
    match last.end {
        End::Deadline => FindErrorKind::Hung {
            after: patience,
            printed: last.printed(),
        },
        End::Flood => FindErrorKind::NotAQemu {
            printed: last.printed(),
        },
        End::Exited(status) => {
            // Whether it is one at all: it may be a QEMU that lacks a library or a module.
            let mut command = invocation.command();
            command.arg("--version");
            match process::converse(command, &[], deadline) {
                Ok(version) if version.stdout.starts_with(b"QEMU emulator version") => {
                    FindErrorKind::Exited {
                        status,
                        stderr: last.stderr(),
                    }
                }
                Ok(version) => FindErrorKind::NotAQemu {
                    printed: version.printed(),
                },
                Err(error) => FindErrorKind::Io(error),
            }
        }
    }
}

/// Names why the system would not start a file.
fn not_started(program: &Path, subject: &Path, error: std::io::Error) -> FindError {
    use std::io::ErrorKind;
    let kind = match error.kind() {
        ErrorKind::NotFound if !program.exists() => FindErrorKind::Missing,
        // A script whose interpreter is missing gives the same error as a missing file.
        ErrorKind::NotFound | ErrorKind::PermissionDenied => FindErrorKind::NotExecutable(error),
        _ if error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => {
            FindErrorKind::NotExecutable(error)
        }
        _ => FindErrorKind::Io(error),
    };
    FindError::of(subject, kind)
}

/// What came back over QMP.
#[derive(Default)]
struct Answers {
    version: Option<Greeting>,
    replies: BTreeMap<String, Value>,
    errors: Vec<String>,
    complete: bool,
}

#[derive(Deserialize)]
struct Greeting {
    qemu: Numbers,
    package: String,
}

#[derive(Deserialize)]
struct Numbers {
    major: u32,
    minor: u32,
    micro: u32,
}

#[derive(Deserialize)]
struct MachineInfo {
    name: String,
    alias: Option<String>,
    #[serde(rename = "default-ram-id")]
    default_ram_id: Option<String>,
}

#[derive(Deserialize)]
struct TypeInfo {
    name: String,
}

impl Answers {
    /// Reads the lines; `None` if there is no greeting.
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut answers = Self::default();
        for line in bytes.split(|byte| *byte == b'\n') {
            let Ok(Value::Object(mut line)) = serde_json::from_slice(line) else {
                continue;
            };
            if let Some(mut greeting) = line.remove("QMP") {
                answers.version = serde_json::from_value(greeting["version"].take()).ok();
            } else if let Some(error) = line.get("error") {
                answers.errors.push(error.to_string());
            } else if let (Some(Value::String(id)), Some(value)) =
                (line.remove("id"), line.remove("return"))
            {
                answers.complete |= id == "end";
                answers.replies.insert(id, value);
            }
        }
        answers.version.is_some().then_some(answers)
    }

    fn reply<T: serde::de::DeserializeOwned>(&mut self, id: &str) -> Result<T, String> {
        let value = self
            .replies
            .remove(id)
            .ok_or_else(|| format!("nothing about its {id}: {}", self.errors.join(", ")))?;
        serde_json::from_value(value).map_err(|error| format!("about its {id}: {error}"))
    }

    fn facts(mut self, qtest_accel: bool) -> Result<Facts, String> {
        let greeting = self.version.take().ok_or("without a greeting")?;
        let target: Value = self.reply("target")?;
        let target = target["arch"].as_str().ok_or("no target")?.to_owned();
        let mut machines = BTreeSet::new();
        let mut ram_ids = BTreeMap::new();
        for machine in self.reply::<Vec<MachineInfo>>("machines")? {
            for name in [Some(machine.name), machine.alias].into_iter().flatten() {
                if let Some(id) = &machine.default_ram_id {
                    ram_ids.insert(name.clone(), id.clone());
                }
                machines.insert(name);
            }
        }
        let names = |types: Vec<TypeInfo>| types.into_iter().map(|info| info.name);
        let devices = names(self.reply("devices")?).collect();
        let objects: BTreeSet<String> = names(self.reply("objects")?).collect();
        Ok(Facts {
            target,
            version: Version {
                major: greeting.qemu.major,
                minor: greeting.qemu.minor,
                micro: greeting.qemu.micro,
                package: greeting.package,
            },
            caps: Capabilities {
                clock: qtest_accel,
                running: qtest_accel,
                qtest_accel,
                monitor_qmp_object: objects.contains("monitor-qmp"),
                machines,
                ram_ids,
                devices,
                objects,
            },
        })
    }
}
