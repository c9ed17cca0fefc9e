//! [`Command`]: a QMP command with the type of its reply.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A QMP command with its arguments; [`commands`](crate::commands) has those that testjig uses.
///
/// The value is serialised as the command's `arguments`: a struct with named fields, or a unit struct for a command
/// without arguments. Fields that are absent by default need `#[serde(skip_serializing_if = "Option::is_none")]`.
///
/// ```
/// use serde::{Deserialize, Serialize};
///
/// /// Asks for the machine's name.
/// #[derive(Serialize)]
/// struct QueryName;
///
/// #[derive(Deserialize)]
/// struct Name {
///     name: Option<String>,
/// }
///
/// impl testjig_qmp::Command for QueryName {
///     const NAME: &'static str = "query-name";
///     type Reply = Name;
/// }
/// ```
pub trait Command: Serialize {
    /// The command's name as the QAPI schema spells it.
    const NAME: &'static str;

    /// The type of the `return` member of its reply; [`Empty`](crate::commands::Empty) where that carries nothing.
    type Reply: DeserializeOwned;
}
