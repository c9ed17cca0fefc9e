//! `jig fuzz`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, IsTerminal, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc as Shared;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use clap::Args;
use testjig::find::{self, Vmm, Wish};
use testjig::vm::machine::{self, MachineType};
use testjig::vm::{Arch, Cache, Launch, Qemu, RamBackend, Suite};
use testjig_blocks::{Device, Program};
use testjig_fuzz::{Feedback, Region, Settings, Space, Status, Target, fuzz};

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
    /// Begin with what tests did: a directory with recordings, as `jig run --keep` leaves them (may be repeated)
    #[arg(long, value_name = "DIR")]
    seeds: Vec<PathBuf>,
    /// What chance is drawn from
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Try each input that earlier runs have kept once, make none, and say what they reach and what they find
    #[arg(long, conflicts_with_all = ["seeds", "list", "selftest"])]
    replay_corpus: bool,
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
            return Self::test_itself();
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
        self.fuzz(&qemu, &target)
    }

    fn fuzz(&self, qemu: &Qemu, target: &Target) -> ExitCode {
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
        let mut beginnings = Vec::new();
        for seeds in &self.seeds {
            match testjig_fuzz::seeds(seeds, target) {
                Ok(more) => beginnings.extend(more),
                Err(error) => {
                    return fail(format!(
                        "failed to read recordings in {}: {error}",
                        seeds.display()
                    ));
                }
            }
        }
        if !self.seeds.is_empty() {
            eprintln!("{} recordings to begin with", beginnings.len());
        }
        let settings = Settings {
            time: self.time,
            workers: self
                .jobs
                .unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from)),
            directory,
            beginnings,
            seed: self.seed,
            stop_at_finding: self.stop_at_finding,
            replay_corpus: self.replay_corpus,
        };
        let stop = Shared::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            if let Err(error) = signal_hook::flag::register(signal, Shared::clone(&stop)) {
                return fail(error);
            }
        }
        let mut line = Line::default();
        let result = fuzz(qemu, target, known, &settings, &stop, |status| {
            line.show(status);
        });
        Line::end();
        let status = match result {
            Ok(status) => status,
            Err(error) => return fail(error),
        };
        println!("{}", sentence(&status));
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

    /// The planted bug is found, or it is said what is broken.
    fn test_itself() -> ExitCode {
        match find_planted() {
            Ok(said) => {
                println!("{said}");
                ExitCode::SUCCESS
            }
            Err(error) => fail(format!("this installation finds no bugs: {error}")),
        }
    }
}

/// Looks for the assertion that is planted in the embedded machine, behind a port next to the clock's.
fn find_planted() -> Result<String, String> {
    let wish = Wish {
        vmm: Some(Vmm::Embedded),
        plants: vec!["assertion".to_owned()],
        ..Wish::default()
    };
    let qemus = find::for_archs(BTreeSet::from([Arch::X86_64]), &wish);
    let qemu = qemus.get(Arch::X86_64)?;
    let ports = |start, len, name: &str| Region {
        space: Space::Ports,
        start,
        len,
        name: name.to_owned(),
    };
    let target = Target {
        name: "planted".to_owned(),
        launch: Launch::new(&machine::PC),
        types: Vec::new(),
        regions: vec![ports(0x70, 2, "clock"), ports(0x80, 1, "POST code")],
        function: None,
        prelude: Vec::new(),
        scratch: 1 << 20,
        has_clock: true,
    };
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let settings = Settings {
        time: Some(Duration::from_secs(60)),
        workers: 1,
        directory: directory.path().to_owned(),
        beginnings: Vec::new(),
        seed: 0,
        stop_at_finding: true,
        replay_corpus: false,
    };
    std::panic::set_hook(Box::new(|_| {}));
    let status = fuzz(
        qemu,
        &target,
        None,
        &settings,
        &AtomicBool::new(false),
        |_| {},
    )
    .map_err(|error| error.to_string())?;
    let Some(finding) = status.findings.first() else {
        return Err(format!(
            "{} inputs did not meet the planted assertion",
            status.executions
        ));
    };
    if !finding.is_confirmed || finding.input.ops.len() != 1 || !finding.signature.contains("ssert")
    {
        return Err(format!("the planted assertion became {finding:?}"));
    }
    Ok(format!(
        "this installation can find a bug: the planted assertion was met within {} inputs and {:.1} s, and shortened to 1 operation",
        status.executions,
        status.elapsed.as_secs_f64()
    ))
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
