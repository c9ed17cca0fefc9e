//! [`Monitor`]: one connection's conversation.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::dispatch;
use super::{Event, Manage, QmpError, empty};

/// The longest message of a client, in bytes; a longer one is refused and forgotten.
const LONGEST: usize = 1 << 20;
/// Bytes that may wait for a client that does not read; further events are lost to it.
const BEHIND: usize = 4 << 20;

/// A monitor's connection: bytes in, bytes out.
#[derive(Debug, Default)]
pub struct Monitor {
    input: Vec<u8>,
    output: Vec<u8>,
    negotiated: bool,
}

impl Monitor {
    /// Greets a client.
    pub fn new(vmm: &dyn Manage) -> Self {
        let mut monitor = Self::default();
        monitor.say(&json!({"QMP": {"version": dispatch::version(vmm), "capabilities": []}}));
        monitor
    }

    /// What is to be sent to the client. Tell [`sent`](Self::sent) how much was.
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// The first `count` bytes of the output have been sent.
    pub fn sent(&mut self, count: usize) {
        self.output.drain(..count.min(self.output.len()));
    }

    /// Whether more input is welcome: a client that does not read is not listened to.
    pub fn wants_input(&self) -> bool {
        self.output.len() < BEHIND / 4
    }

    /// Takes bytes and answers the messages that are complete.
    pub fn receive(&mut self, vmm: &mut dyn Manage, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        if !bytes
            .iter()
            .any(|byte| matches!(byte, b'}' | b']' | b'\n' | b'"'))
        {
            return self.refuse_if_endless();
        }
        let input = std::mem::take(&mut self.input);
        let mut messages = serde_json::Deserializer::from_slice(&input).into_iter::<Value>();
        let mut used = 0;
        loop {
            match messages.next() {
                None => {
                    used = input.len();
                    break;
                }
                Some(Ok(message)) => {
                    used = messages.byte_offset();
                    self.answer(vmm, &message);
                }
                Some(Err(error)) if error.is_eof() => break,
                Some(Err(error)) => {
                    self.refuse(
                        &QmpError::generic(format!("JSON parse error, {error}")),
                        None,
                    );
                    // As QEMU does: what is left of the line is part of the mistake.
                    let rest = &input[used..];
                    used = match rest.iter().position(|byte| *byte == b'\n') {
                        Some(end) => used + end + 1,
                        None => input.len(),
                    };
                    if used < input.len() {
                        self.input = input[used..].to_vec();
                        return self.receive(vmm, b"\n");
                    }
                    break;
                }
            }
        }
        self.input = input[used..].to_vec();
        self.refuse_if_endless();
    }

    /// Tells of an event, if the client has said that it listens.
    pub fn event(&mut self, event: &Event) {
        if !self.negotiated || self.output.len() > BEHIND {
            return;
        }
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let mut message = json!({
            "timestamp": {"seconds": now.as_secs(), "microseconds": now.subsec_micros()},
            "event": event.name,
        });
        if !event.data.is_null() {
            message["data"] = event.data.clone();
        }
        self.say(&message);
    }

    fn refuse_if_endless(&mut self) {
        if self.input.len() > LONGEST {
            self.input = Vec::new();
            self.refuse(&QmpError::generic("JSON token size limit exceeded"), None);
        }
    }

    fn answer(&mut self, vmm: &mut dyn Manage, message: &Value) {
        let id = message.get("id").cloned();
        match self.carry_out(vmm, message) {
            Ok(value) => {
                let mut reply = json!({"return": value});
                if let Some(id) = id {
                    reply["id"] = id;
                }
                self.say(&reply);
            }
            Err(error) => self.refuse(&error, id),
        }
    }

    fn carry_out(&mut self, vmm: &mut dyn Manage, message: &Value) -> Result<Value, QmpError> {
        let Some(message) = message.as_object() else {
            return Err(QmpError::generic("QMP input must be a JSON object"));
        };
        let mut nothing = Map::new();
        for (name, value) in message {
            match (name.as_str(), value) {
                ("execute", Value::String(_)) | ("id", _) => {}
                ("execute", _) => {
                    return Err(QmpError::generic(
                        "QMP input member 'execute' must be a string",
                    ));
                }
                ("arguments", Value::Object(arguments)) => nothing.clone_from(arguments),
                ("arguments", _) => {
                    return Err(QmpError::generic(
                        "QMP input member 'arguments' must be an object",
                    ));
                }
                _ => {
                    return Err(QmpError::generic(format!(
                        "QMP input member '{name}' is unexpected"
                    )));
                }
            }
        }
        let arguments = nothing;
        let Some(name) = message.get("execute").and_then(Value::as_str) else {
            return Err(QmpError::generic("QMP input lacks member 'execute'"));
        };
        match (name, self.negotiated) {
            ("qmp_capabilities", false) => {
                self.negotiated = true;
                Ok(empty())
            }
            ("qmp_capabilities", true) => Err(QmpError {
                class: "CommandNotFound",
                desc: "Capabilities negotiation is already complete, command ignored".into(),
            }),
            (_, false) => Err(QmpError {
                class: "CommandNotFound",
                desc: "Expecting capabilities negotiation with 'qmp_capabilities'".into(),
            }),
            (name, true) => dispatch::execute(vmm, name, &arguments),
        }
    }

    fn refuse(&mut self, error: &QmpError, id: Option<Value>) {
        let mut reply = json!({"error": {"class": error.class, "desc": error.desc}});
        if let Some(id) = id {
            reply["id"] = id;
        }
        self.say(&reply);
    }

    fn say(&mut self, message: &Value) {
        self.output
            .extend_from_slice(message.to_string().as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }
}
