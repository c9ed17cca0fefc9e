//! A command line of QEMU's, as what it says of the machine.

use testjig_vm::Arch;

use crate::error::excerpt;

/// The machine of a command line.
#[derive(Default)]
pub(super) struct Machine {
    pub(super) arch: Option<Arch>,
    pub(super) name: Option<String>,
    pub(super) options: Vec<(String, String)>,
    pub(super) memory: Option<u64>,
    pub(super) no_defaults: bool,
    pub(super) args: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// Options that say how QEMU is talked to or shown, with their values: whoever replays sees to that.
const ABOUT_THE_PROCESS: [(&str, bool); 20] = [
    ("-qtest", true),
    ("-qtest-log", true),
    ("-display", true),
    ("-vnc", true),
    ("-accel", true),
    ("-monitor", true),
    ("-serial", true),
    ("-parallel", true),
    ("-name", true),
    ("-d", true),
    ("-trace", true),
    ("-nographic", false),
    ("-S", false),
    ("-enable-kvm", false),
    ("-no-user-config", false),
    ("-nodefconfig", false),
    ("-daemonize", false),
    ("-snapshot", false),
    ("-sandbox", true),
    ("-msg", true),
];

impl Machine {
    /// Takes the words behind the program's name. An error is the index of the word, and what is wrong with it.
    pub(super) fn take(&mut self, words: &[String]) -> Result<(), (usize, String)> {
        let mut at = 0;
        while at < words.len() {
            let word = &words[at];
            let option = match word.strip_prefix("--") {
                Some(rest) => format!("-{rest}"),
                None => word.clone(),
            };
            let value = || {
                words
                    .get(at + 1)
                    .ok_or_else(|| (at, format!("`{}` lacks its value", excerpt(word))))
            };
            if !option.starts_with('-') || option == "-" {
                return Err((at, format!("`{}` belongs to no option", excerpt(word))));
            }
            if let Some((_, has_value)) =
                ABOUT_THE_PROCESS.iter().find(|(known, _)| *known == option)
            {
                at += 1 + usize::from(*has_value);
                continue;
            }
            match option.as_str() {
                "-M" | "-machine" => {
                    self.machine(value()?)
                        .map_err(|problem| (at + 1, problem))?;
                    at += 2;
                }
                "-m" => {
                    let text = value()?;
                    match memory(text) {
                        Some(bytes) => self.memory = Some(bytes),
                        None => self.args.extend([option, text.clone()]),
                    }
                    at += 2;
                }
                "-nodefaults" => {
                    self.no_defaults = true;
                    at += 1;
                }
                "-netdev" | "-nic" => {
                    let text = value()?;
                    let is_open =
                        text.split(',').next() == Some("user") && !text.contains("restrict=");
                    if is_open {
                        self.notes
                            .push(format!("{option} {text}: restrict=on was added"));
                        self.args.extend([option, format!("{text},restrict=on")]);
                    } else {
                        self.args.extend([option, text.clone()]);
                    }
                    at += 2;
                }
                _ => {
                    self.args.push(option);
                    at += 1;
                    if let Some(value) = words.get(at).filter(|next| !next.starts_with('-')) {
                        self.args.push(value.clone());
                        at += 1;
                    }
                }
            }
        }
        Ok(())
    }

    fn machine(&mut self, value: &str) -> Result<(), String> {
        for part in value.split(',').filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some(("accel", _)) => {}
                Some(("type", name)) => self.name = Some(name.to_owned()),
                Some((name, value)) => self.options.push((name.to_owned(), value.to_owned())),
                None if self.name.as_deref().is_none_or(|name| name == part) => {
                    self.name = Some(part.to_owned());
                }
                None => return Err(format!("`{}` is a second machine", excerpt(part))),
            }
        }
        Ok(())
    }

    /// Notes what the program is called.
    pub(super) fn program(&mut self, word: &str) -> Result<(), String> {
        let name = word.rsplit('/').next().unwrap_or(word);
        let Some((_, target)) = name.split_once("qemu-system-") else {
            return Ok(());
        };
        let target: String = target
            .chars()
            .take_while(|character| character.is_ascii_alphanumeric() || *character == '_')
            .collect();
        self.arch = Some(
            target
                .parse()
                .map_err(|_| format!("no architecture is called `{}` here", excerpt(&target)))?,
        );
        Ok(())
    }
}

/// Memory as `-m` takes it: MiB, if nothing else is said.
fn memory(text: &str) -> Option<u64> {
    let text = text.strip_prefix("size=").unwrap_or(text);
    let size = crate::parse::size(text).ok()?;
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return size.checked_mul(1 << 20);
    }
    Some(size)
}
