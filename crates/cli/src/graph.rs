//! `jig graph`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use testjig::case::Cases;
use testjig::find::{self, Wish};
use testjig::graph::Graph;
use testjig::vm::{Arch, Suite};

/// How the graph is shown.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A tree of lines
    Text,
    /// For Graphviz
    Dot,
    /// A picture
    Svg,
}

#[derive(Args)]
pub(crate) struct Arguments {
    /// How to show it
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Only machines of this architecture
    #[arg(long)]
    arch: Option<Arch>,
    /// Judge by what is known of this QEMU binary
    #[arg(long, value_name = "PATH")]
    qemu: Option<PathBuf>,
    /// Judge by what is known of the QEMU of this Debian suite
    #[arg(long, value_name = "NAME", conflicts_with = "qemu")]
    suite: Option<Suite>,
}

impl Arguments {
    pub(crate) fn run(self) -> ExitCode {
        let graph = Graph::get();
        let wish = Wish {
            qemu: self.qemu,
            suite: self.suite,
            offline: true,
            ..Wish::default()
        };
        let archs = match self.arch {
            Some(arch) => [arch].into(),
            None => graph.archs(),
        };
        let qemus = find::remembered(&archs, graph.launches().into_iter(), &wish);
        let mut tree = graph.tree(&Cases::collect(), &qemus);
        if let Some(arch) = self.arch {
            let prefix = format!("{arch}/");
            tree.machines
                .retain(|machine| machine.label.starts_with(&prefix));
            tree.unknown
                .retain(|line| line.starts_with(&format!("{arch}:")));
        }
        let text = match self.format {
            Format::Text => tree.text(),
            Format::Dot => tree.dot(),
            Format::Svg => tree.svg(),
        };
        // A reader such as `head` may go away in the middle.
        let _ = io::stdout().write_all(text.as_bytes());
        if self.format != Format::Text {
            for line in &tree.unknown {
                eprintln!("not known: {line}");
            }
        }
        ExitCode::SUCCESS
    }
}
