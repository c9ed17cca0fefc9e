//! The messages of the peer: one line of JSON each, sorted into [`Message`].

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::{CommandError, ErrorKind, excerpt};
use crate::event::{Event, Timestamp};
use crate::greeting::Greeting;

/// A message, with its payload not yet looked into where a caller's type decides what it should be.
pub(crate) enum Message<'a> {
    Greeting(Greeting),
    Event(Event),
    Reply {
        id: Id,
        result: Result<&'a RawValue, CommandError>,
    },
}

/// The `id` of a reply.
#[derive(Clone, Copy)]
pub(crate) enum Id {
    /// As this crate gives them to its commands.
    Number(u64),
    /// None: the answer to something in which the peer found no id.
    Absent,
    /// Anything else: not an answer to this crate's commands.
    Foreign,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, rename = "QMP", default, deserialize_with = "present")]
    greeting: Option<&'a RawValue>,
    #[serde(borrow)]
    event: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    timestamp: Option<Timestamp>,
    #[serde(borrow, rename = "return", default, deserialize_with = "present")]
    reply: Option<&'a RawValue>,
    error: Option<CommandError>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
}

/// Keeps `null` apart from an absent member.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl<'a> Message<'a> {
    /// Parses one line, without its end.
    pub(crate) fn parse(line: &'a [u8], depth_limit: usize) -> Result<Self, ErrorKind> {
        let malformed = |problem: String| ErrorKind::Malformed {
            problem,
            line: excerpt(line),
        };
        if is_deeper(line, depth_limit) {
            return Err(ErrorKind::TooDeep {
                limit: depth_limit,
                line: excerpt(line),
            });
        }
        let envelope: Envelope<'a> = serde_json::from_slice(line).map_err(|error| {
            malformed(if error.is_eof() && line.trim_ascii() == b"{" {
                "it spans several lines (a monitor with `pretty=on` can't be used)".to_owned()
            } else {
                error.to_string()
            })
        })?;
        match envelope {
            Envelope {
                event: Some(name),
                greeting: None,
                reply: None,
                error: None,
                data,
                timestamp,
                ..
            } => {
                let data = match data {
                    None => Value::Null,
                    Some(data) => serde_json::from_str(data.get())
                        .map_err(|error| malformed(format!("the data of the event: {error}")))?,
                };
                Ok(Self::Event(Event {
                    seq: 0,
                    name: name.into_owned(),
                    data,
                    timestamp: timestamp.unwrap_or(Timestamp {
                        seconds: -1,
                        microseconds: -1,
                    }),
                }))
            }
            Envelope {
                greeting: Some(greeting),
                event: None,
                reply: None,
                error: None,
                ..
            } => serde_json::from_str(greeting.get())
                .map(Self::Greeting)
                .map_err(|error| malformed(format!("the greeting: {error}"))),
            Envelope {
                reply: Some(value),
                greeting: None,
                event: None,
                error: None,
                id,
                ..
            } => Ok(Self::Reply {
                id: Id::of(id),
                result: Ok(value),
            }),
            Envelope {
                error: Some(error),
                greeting: None,
                event: None,
                reply: None,
                id,
                ..
            } => Ok(Self::Reply {
                id: Id::of(id),
                result: Err(error),
            }),
            _ => Err(malformed(
                "it is not one of greeting, event, return, error".to_owned(),
            )),
        }
    }
}

impl Id {
    fn of(id: Option<&RawValue>) -> Self {
        id.map_or(Self::Absent, |id| {
            id.get().parse().map_or(Self::Foreign, Self::Number)
        })
    }
}

/// Whether arrays and objects are nested more than `limit` deep.
///
/// Judges nesting alone: what is not JSON is found by the parser.
fn is_deeper(line: &[u8], limit: usize) -> bool {
    let mut depth = 0_usize;
    let mut rest = line;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'{' | b'[' => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => rest = after_string(rest),
            _ => {}
        }
    }
    false
}

/// What follows the string whose opening quote has just been passed.
fn after_string(mut rest: &[u8]) -> &[u8] {
    while let Some(at) = memchr::memchr2(b'"', b'\\', rest) {
        if rest[at] == b'"' {
            return &rest[at + 1..];
        }
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    &[]
}
