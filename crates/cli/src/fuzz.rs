//! `jig fuzz`.

mod selftest;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, IsTerminal, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc as Shared;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use clap::Args;
use testjig::find::{self, Vmm, Wish};
use testjig::vm::machine::MachineType;
use testjig::vm::{Arch, Cache, Qemu, RamBackend, Suite};
use testjig_blocks::{Device, Program};
use testjig_fuzz::{Feedback, Input, Peers, Settings, Space, Status, Target, fuzz};
use testjig_trace::Trace;

use crate::fail;

#[derive(Args)]
#[command(
    after_help = "A finding is a machine that ends, does not answer, or takes memory without bound. It is written to \
DIR/findings at once, and again when it is confirmed and short. An interrupted run goes on where it was.

Exit status:
  0    nothing was found
  1    something was found
  2    wrong usage, or the device is not there
  5    no QEMU could be had"
)]
pub(crate) struct Arguments {
    /// The device, by the name that QEMU has for its type or a short one: virtio-blk, fdc, e1000, rtc
    #[arg(value_name = "DEVICE", required_unless_present_any = ["list", "selftest"])]
    device: Option<String>,
    /// The machine, as paths name it, or as this QEMU does: x86_64/pc, aarch64/raspi3b
    #[arg(long, value_name = "ARCH/NAME", default_value = "x86_64/pc")]
    machine: String,
    /// How long: 90s, 10m, 2h [default: until interrupted]
    #[arg(long, value_name = "TIME", value_parser = span)]
    time: Option<Duration>,
    /// How many machines run at once [default: as many as there are cores]
    #[arg(short, long, value_name = "N")]
    jobs: Option<usize>,
    /// Where inputs and findings are kept [default: fuzz/DEVICE]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Begin with what tests did: a directory with sessions, as `jig run --record` writes them (may be repeated)
    #[arg(long, value_name = "DIR")]
    seeds: Vec<PathBuf>,
    /// Words that mean something to the device, in AFL's format: name="\x12\x34"
    #[arg(long, value_name = "FILE")]
    dictionary: Option<PathBuf>,
    /// What chance is drawn from
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Try each input that earlier runs have kept once, make none, and say what they reach and what they find; with --seeds, carry out
    /// the sessions before, as they are and each on the machine that it names
    #[arg(long, conflicts_with_all = ["list", "selftest"])]
    replay_corpus: bool,
    /// Exchange inputs and findings with others that join at this address. Whoever reaches it can have inputs tried: 127.0.0.1:4711
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with_all = ["list", "selftest", "replay_corpus"])]
    listen: Option<SocketAddr>,
    /// Exchange inputs and findings with the one that listens at this address, and those that joined it
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with_all = ["listen", "list", "selftest", "replay_corpus"])]
    join: Option<SocketAddr>,
    /// Stop at the first finding
    #[arg(long)]
    stop_at_finding: bool,
    /// Write which functions of the device were reached, and how much of each, as JSON
    #[arg(long, value_name = "FILE")]
    export_coverage: Option<PathBuf>,
    /// List the devices that can be fuzzed on the machine
    #[arg(long, conflicts_with = "device")]
    list: bool,
    /// Look for a bug that is planted in the embedded machine, and say whether this installation can find one
    #[arg(long, conflicts_with_all = ["device", "list"])]
    selftest: bool,
    /// Of the planted bugs, look for this one, until --time is over: crash, hang, crash-sequence, … [default: assertion, for a minute]
    #[arg(long, value_name = "NAME", requires = "selftest")]
    plant: Option<String>,
    /// The QEMU binary to use; nothing is fetched then
    #[arg(long, value_name = "PATH")]
    qemu: Option<PathBuf>,
    /// The Debian suite to fetch a QEMU from
    #[arg(long, value_name = "NAME", conflicts_with = "qemu")]
    suite: Option<Suite>,
    /// Fetch nothing
    #[arg(long)]
    offline: bool,
}

/// A number with `s`, `m` or `h`.
fn span(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.len() - usize::from(text.ends_with(['s', 'm', 'h'])));
    let factor = match unit {
        "m" => 60,
        "h" => 3600,
        _ => 1,
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "a number with s, m or h, such as 90s or 10m".to_owned())?;
    Ok(Duration::from_secs(number.saturating_mul(factor)))
}

impl Arguments {
    pub(crate) fn run(self) -> ExitCode {
        if self.selftest {
            let plant = self.plant.as_deref().unwrap_or("assertion");
            let time = self.time.unwrap_or(Duration::from_secs(60));
            return selftest::run(plant, time, self.seed, self.dir.as_deref());
        }
        let machine = match machine_of(&self.machine) {
            Ok(machine) => machine,
            Err(error) => return fail(error),
        };
        let wish = Wish {
            qemu: self.qemu.clone(),
            suite: self.suite.clone(),
            offline: self.offline,
            vmm: Some(Vmm::Qemu),
            ..Wish::default()
        };
        let qemus = find::for_archs(BTreeSet::from([machine.arch]), &wish);
        let mut qemu = match qemus.get(machine.arch) {
            Ok(qemu) => qemu.clone(),
            Err(error) => {
                eprintln!("jig: {error}");
                return ExitCode::from(5);
            }
        };
        eprintln!("{}", qemu.summary());
        let cache = match Cache::open() {
            Ok(cache) => cache,
            Err(error) => return fail(error),
        };
        if self.list {
            return list(&qemu);
        }
        let name = self.device.as_deref().unwrap_or_default();
        let target = match Target::find(&mut qemu, name, machine, &cache) {
            Ok(target) => target,
            Err(error) => return fail(error),
        };
        self.fuzz(&qemu, target)
    }

    fn fuzz(&self, qemu: &Qemu, mut target: Target) -> ExitCode {
        // Faults unwind; the fuzzer says what became of its machines.
        std::panic::set_hook(Box::new(|_| {}));
        for region in &target.regions {
            let space = match region.space {
                Space::Ports => "ports",
                Space::Memory => "memory",
            };
            eprintln!(
                "{space} {:#x}, {:#x} bytes: {}",
                region.start, region.len, region.name
            );
        }
        let program = Program::read(qemu.binary());
        let types: Vec<&str> = target.types.iter().map(String::as_str).collect();
        let device = program
            .as_ref()
            .ok()
            .and_then(|program| program.device(&types));
        let known = program.as_ref().ok().zip(device.as_ref());
        let directory = self
            .dir
            .clone()
            .unwrap_or_else(|| PathBuf::from("fuzz").join(&target.name));
        let (beginnings, sessions) = match self.recordings(qemu, &mut target) {
            Ok(recordings) => recordings,
            Err(error) => return fail(error),
        };
        let dictionary = match &self.dictionary {
            None => Vec::new(),
            Some(path) => match testjig_fuzz::dictionary(path) {
                Ok(words) => words,
                Err(error) => {
                    return fail(format!("failed to read {}: {error}", path.display()));
                }
            },
        };
        let settings = Settings {
            time: self.time,
            workers: self
                .jobs
                .unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from)),
            directory,
            beginnings,
            sessions,
            dictionary,
            seed: self.seed,
            stop_at_finding: self.stop_at_finding,
            replay_corpus: self.replay_corpus,
            peers: self
                .listen
                .map(Peers::Listen)
                .or(self.join.map(Peers::Join)),
        };
        let stop = Shared::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            if let Err(error) = signal_hook::flag::register(signal, Shared::clone(&stop)) {
                return fail(error);
            }
        }
        let mut line = Line::default();
        let result = fuzz(qemu, &target, known, &settings, &stop, |status| {
            line.show(status);
        });
        Line::end();
        let status = match result {
            Ok(status) => status,
            Err(error) => return fail(error),
        };
        self.tell(&status);
        if status.feedback == Feedback::Blocks {
            let path = settings.directory.join("coverage.svg");
            match fs::write(&path, line.plot(status.blocks as u32)) {
                Ok(()) => println!("blocks over time: {}", path.display()),
                Err(error) => return fail(format!("failed to write {}: {error}", path.display())),
            }
        }
        if let (Some(path), Some((program, device))) = (&self.export_coverage, known) {
            if let Err(error) = fs::write(path, coverage(program, device, &status)) {
                return fail(format!("failed to write {}: {error}", path.display()));
            }
        }
        ExitCode::from(u8::from(!status.findings.is_empty()))
    }

    /// What became of it, on standard output.
    fn tell(&self, status: &Status) {
        println!("{}", sentence(status));
        let sessions = &status.sessions;
        if self.replay_corpus && !self.seeds.is_empty() {
            println!(
                "{} sessions with the replies that they have, {} skipped, {} not",
                sessions.same,
                sessions.skipped,
                sessions.other.len()
            );
        }
        for other in &sessions.other {
            println!("  {other}");
        }
        for finding in &status.findings {
            println!("{}", finding.signature);
            let confirmed = if finding.is_confirmed {
                "confirmed on a started machine"
            } else {
                "not met on a started machine"
            };
            println!(
                "  {} operations, {confirmed}: {}",
                finding.input.ops.len(),
                finding.path.display()
            );
        }
    }

    /// What recordings are for: to begin with, or to be carried out as they are.
    fn recordings(
        &self,
        qemu: &Qemu,
        target: &mut Target,
    ) -> Result<(Vec<Input>, Vec<Trace>), String> {
        let (mut beginnings, mut sessions) = (Vec::new(), Vec::new());
        for seeds in &self.seeds {
            let result = if self.replay_corpus {
                testjig_fuzz::sessions(seeds).map(|more| sessions.extend(more))
            } else {
                testjig_fuzz::sessions(seeds)
                    .map(|sessions| target.learn_machines(qemu, &sessions))
                    .and_then(|()| testjig_fuzz::seeds(seeds, target))
                    .map(|more| beginnings.extend(more))
            };
            result.map_err(|error| {
                format!("failed to read recordings in {}: {error}", seeds.display())
            })?;
        }
        if !self.seeds.is_empty() {
            let count = beginnings.len() + sessions.len();
            eprintln!(
                "{count} recordings to begin with, on {} machines",
                1 + target.others.len()
            );
        }
        Ok((beginnings, sessions))
    }
}

/// A machine of the library, or one that only its name is known of.
fn machine_of(id: &str) -> Result<&'static MachineType, String> {
    let wrong = || {
        format!(
            "{id:?} is no machine: an architecture and a name, such as x86_64/pc or aarch64/raspi3b"
        )
    };
    let (arch, name) = id.split_once('/').ok_or_else(wrong)?;
    let arch: Arch = arch.parse().map_err(|_| wrong())?;
    if let Some(known) = MachineType::by_name(arch, name) {
        return Ok(known);
    }
    Ok(Box::leak(Box::new(MachineType {
        arch,
        name: String::leak(name.to_owned()),
        default_memory: 0,
        ram: |_| Vec::new(),
        ram_backend: RamBackend::None,
    })))
}

fn list(qemu: &Qemu) -> ExitCode {
    let mut out = io::stdout().lock();
    for device in &qemu.caps.devices {
        if writeln!(out, "{device}").is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}

/// How far it is, in one line.
fn sentence(status: &Status) -> String {
    let milliseconds = (status.elapsed.as_millis() as u64).max(1);
    let mut text = format!(
        "{} s, {} inputs, {} a second",
        milliseconds / 1000,
        status.executions,
        status.executions * 1000 / milliseconds
    );
    match &status.feedback {
        Feedback::Blocks => {
            let _ = write!(
                text,
                ", {} of the device's {} blocks",
                status.reached.len(),
                status.blocks
            );
        }
        Feedback::Replies(why) => {
            let _ = write!(text, ", learning from replies ({why})");
        }
    }
    let _ = write!(
        text,
        ", {} inputs kept, {} findings",
        status.corpus,
        status.findings.len()
    );
    if let Some(exchanged) = &status.exchanged {
        let _ = write!(
            text,
            "; {} others, {} inputs from them and {} to them",
            exchanged.peers, exchanged.received, exchanged.sent
        );
        if let Some(why) = &exchanged.refused {
            let _ = write!(text, ", {why}");
        }
    }
    if let Some(why) = &status.unforkable {
        let _ = write!(text, "; a machine started for each ({why})");
    }
    text
}

/// The status, in one line that is written over on a terminal, and once in ten seconds elsewhere.
#[derive(Default)]
struct Line {
    told: Option<Duration>,
    /// Seconds, and the blocks that were reached by then.
    reached: Vec<(f64, u32)>,
}

impl Line {
    fn show(&mut self, status: &Status) {
        self.reached
            .push((status.elapsed.as_secs_f64(), status.reached.len() as u32));
        let mut err = io::stderr();
        if err.is_terminal() {
            let _ = write!(err, "\r\x1b[K{}", sentence(status));
            let _ = err.flush();
        } else if self
            .told
            .is_none_or(|told| status.elapsed >= told + Duration::from_secs(10))
        {
            self.told = Some(status.elapsed);
            eprintln!("{}", sentence(status));
        }
    }

    fn end() {
        if io::stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
    }

    /// Blocks over time, as a picture.
    fn plot(&self, blocks: u32) -> String {
        const WIDTH: f64 = 640.0;
        const HEIGHT: f64 = 240.0;
        let last = self
            .reached
            .last()
            .map_or(1.0, |(seconds, _)| seconds.max(1.0));
        let most = f64::from(blocks.max(1));
        let mut line = String::new();
        for (seconds, reached) in &self.reached {
            let x = seconds / last * WIDTH;
            let y = HEIGHT - f64::from(*reached) / most * HEIGHT;
            let _ = write!(line, "{x:.1},{y:.1} ");
        }
        let reached = self.reached.last().map_or(0, |(_, reached)| *reached);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"-10 -30 {} {}\" font-family=\"sans-serif\" font-size=\"14\">\n\
             <text x=\"0\" y=\"-10\">{reached} of {blocks} blocks in {last:.0} s</text>\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"none\" stroke=\"#999\"/>\n\
             <polyline points=\"{line}\" fill=\"none\" stroke=\"#06c\" stroke-width=\"2\"/>\n\
             </svg>\n",
            WIDTH + 20.0,
            HEIGHT + 40.0
        )
    }
}

/// Functions of the device, and how many of their blocks were reached.
fn coverage(program: &Program, device: &Device, status: &Status) -> String {
    let functions: Vec<serde_json::Value> = device
        .functions
        .iter()
        .map(|index| {
            let function = &program.functions()[*index];
            let reached = function
                .blocks
                .clone()
                .filter(|block| status.reached.contains(block));
            serde_json::json!({
                "address": format!("{:#x}", function.range.start),
                "name": function.name,
                "blocks": function.blocks.len(),
                "reached": reached.count(),
            })
        })
        .collect();
    let all = serde_json::json!({
        "blocks": status.blocks,
        "reached": status.reached.len(),
        "functions": functions,
    });
    format!("{all:#}\n")
}
