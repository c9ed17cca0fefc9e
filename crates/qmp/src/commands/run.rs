//! Running, stopping, resetting; the human monitor.

use serde::Serialize;

use super::{Empty, plain_commands};
use crate::command::Command;

plain_commands! {
    /// Stops the virtual CPUs and the virtual clock. Event: `STOP`, if they ran.
    Stop = "stop" -> Empty;

    /// Lets them run again. Event: `RESUME`.
    Cont = "cont" -> Empty;

    /// Asks for a reset of the machine. It is done when the event `RESET` comes, which may be before or after the reply.
    SystemReset = "system_reset" -> Empty;

    /// Presses the power button. Event: `POWERDOWN`.
    SystemPowerdown = "system_powerdown" -> Empty;

    /// Ends QEMU. The event `SHUTDOWN` may come before the reply; then the connection closes.
    Quit = "quit" -> Empty;
}

/// Executes a line of the human monitor.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct HumanMonitorCommand {
    /// The line, without its end.
    pub command_line: String,
    /// The CPU that is the current one for this line; the first unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_index: Option<i64>,
}

impl HumanMonitorCommand {
    /// A line for the human monitor, without its end.
    pub fn new(line: impl Into<String>) -> Self {
        Self {
            command_line: line.into(),
            cpu_index: None,
        }
    }

    /// Makes a CPU the current one for this line: `info registers` shows that one's.
    #[must_use]
    pub fn on_cpu(mut self, index: i64) -> Self {
        self.cpu_index = Some(index);
        self
    }
}

impl Command for HumanMonitorCommand {
    const NAME: &'static str = "human-monitor-command";
    type Reply = String;
}
