//! [`Schema`]: what a peer can do, as `query-qmp-schema` tells.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// The meta-type of a [`SchemaEntity`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum MetaType {
    /// A type of JSON itself.
    Builtin,
    /// An enumeration.
    Enum,
    /// An array type.
    Array,
    /// An object type, with or without variants.
    Object,
    /// A type that takes the shape of one of several.
    Alternate,
    /// A command.
    Command,
    /// An event.
    Event,
    /// A meta-type that this crate does not know, as it was spelt.
    #[serde(untagged)]
    Other(String),
}

/// A member of an object type (which the arguments of a command are), a value of an enumeration, or a branch of an alternate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SchemaMember {
    /// The member's name or the enumeration's value; empty for the branch of an alternate.
    #[serde(default)]
    pub name: String,
    /// The name of its type; absent for a value of an enumeration.
    #[serde(rename = "type")]
    pub type_name: Option<String>,
    /// Present if the member may be left out.
    #[serde(default, deserialize_with = "present")]
    pub default: Option<Value>,
}

/// Keeps `null` apart from an absent member.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// A command, an event or a type. Which members are present depends on [`meta_type`](SchemaEntity::meta_type).
///
/// Types other than the built-in have numbers for names, which differ between versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct SchemaEntity {
    /// The name of the command, event or type.
    pub name: String,
    /// What it is.
    pub meta_type: MetaType,
    /// Of a command or an event: the object type of its arguments or its data.
    pub arg_type: Option<String>,
    /// Of a command: the type of what it returns.
    pub ret_type: Option<String>,
    /// Of an array type: the type of its elements.
    pub element_type: Option<String>,
    /// Of an object, enumeration or alternate: its members.
    #[serde(default)]
    pub members: Vec<SchemaMember>,
}

/// All commands, events and types of a peer: the reply to [`QueryQmpSchema`](crate::commands::QueryQmpSchema).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<SchemaEntity>", into = "Vec<SchemaEntity>")]
pub struct Schema {
    entities: BTreeMap<String, SchemaEntity>,
}

impl From<Vec<SchemaEntity>> for Schema {
    fn from(entities: Vec<SchemaEntity>) -> Self {
        let entities = entities
            .into_iter()
            .map(|entity| (entity.name.clone(), entity))
            .collect();
        Self { entities }
    }
}

impl From<Schema> for Vec<SchemaEntity> {
    fn from(schema: Schema) -> Self {
        schema.entities.into_values().collect()
    }
}

impl Schema {
    /// Everything there is, by name.
    pub fn entities(&self) -> impl Iterator<Item = &SchemaEntity> {
        self.entities.values()
    }

    /// The command, event or type of that name.
    pub fn entity(&self, name: &str) -> Option<&SchemaEntity> {
        self.entities.get(name)
    }

    /// Whether there is such a command.
    pub fn has_command(&self, name: &str) -> bool {
        self.entity(name)
            .is_some_and(|entity| entity.meta_type == MetaType::Command)
    }

    /// Whether there is such an event.
    pub fn has_event(&self, name: &str) -> bool {
        self.entity(name)
            .is_some_and(|entity| entity.meta_type == MetaType::Event)
    }

    /// An argument of a command, or a member of an event's data.
    pub fn argument(&self, command: &str, argument: &str) -> Option<&SchemaMember> {
        let arguments = self.entity(self.entity(command)?.arg_type.as_deref()?)?;
        arguments
            .members
            .iter()
            .find(|member| member.name == argument)
    }

    /// The values that an argument of a command may have, if its type is an enumeration.
    ///
    /// `values("object-add", "qom-type")` are the types of objects that the peer can create.
    pub fn values(&self, command: &str, argument: &str) -> Option<impl Iterator<Item = &str>> {
        let values = self.entity(self.argument(command, argument)?.type_name.as_deref()?)?;
        (values.meta_type == MetaType::Enum)
            .then(|| values.members.iter().map(|member| member.name.as_str()))
    }
}
