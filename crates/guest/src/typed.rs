//! `--name=value` as the typed JSON that QMP wants, by QEMU's own schema: [`Schemas::arguments`].

use serde_json::{Map, Value};
use testjig_qmp::commands::DeviceListProperties;
use testjig_qmp::{MetaType, Qmp, Schema};

use crate::schemas::Schemas;

impl Schemas {
    /// The arguments of a command out of what a script wrote behind its name: `--name=value`, `--outer.inner=value` for a member of an
    /// object, or one JSON object.
    ///
    /// # Errors
    /// If a word is neither, a value does not fit its type, or QEMU has no such command or argument.
    pub(crate) fn arguments(
        &self,
        qmp: &mut Qmp,
        command: &str,
        words: &[String],
    ) -> Result<Value, String> {
        if words.is_empty() {
            return Ok(Value::Null);
        }
        let schema = self.of(qmp)?;
        let device = (command == "device_add")
            .then(|| words.iter().find_map(|word| word.strip_prefix("--driver=")))
            .flatten();
        // What a device type takes is no part of the schema.
        let properties = device.map_or_else(Vec::new, |driver| {
            qmp.execute(&DeviceListProperties::of(driver))
                .unwrap_or_default()
        });
        let property = |name: &str| {
            let found = properties.iter().find(|property| property.name == name);
            found.map(|property| property.type_name.as_str())
        };
        typed(schema, command, words, property)
    }
}

fn typed<'a>(
    schema: &Schema,
    command: &str,
    words: &[String],
    property: impl Fn(&str) -> Option<&'a str>,
) -> Result<Value, String> {
    if !schema.has_command(command) {
        return Err(format!("this QEMU has no command {command}"));
    }
    if let [json] = words {
        if json.trim_start().starts_with('{') {
            return serde_json::from_str(json)
                .map_err(|error| format!("{json} is no JSON object: {error}"));
        }
    }
    let mut arguments = Map::new();
    for word in words {
        let (name, text) = word
            .strip_prefix("--")
            .and_then(|word| word.split_once('='))
            .ok_or_else(|| {
                format!("{word:?} is not understood: arguments are written --name=value")
            })?;
        let value = if let Some(type_name) = property(name) {
            of_property(type_name, text)
        } else {
            let path: Vec<&str> = name.split('.').collect();
            of_type(schema, type_of(schema, command, &path)?, text)
        };
        let value = value.map_err(|wanted| format!("--{name}: {text:?} is not {wanted}"))?;
        insert(&mut arguments, name, value);
    }
    Ok(arguments.into())
}

fn insert(to: &mut Map<String, Value>, name: &str, value: Value) {
    match name.split_once('.') {
        None => drop(to.insert(name.to_owned(), value)),
        Some((outer, inner)) => {
            let entry = to.entry(outer).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(members) = entry {
                insert(members, inner, value);
            }
        }
    }
}

/// The name of an argument's type; `None` if the command takes whatever there is.
fn type_of<'a>(
    schema: &'a Schema,
    command: &str,
    path: &[&str],
) -> Result<Option<&'a str>, String> {
    let arguments = schema
        .entity(command)
        .and_then(|command| command.arg_type.as_deref());
    let mut type_name = arguments;
    for name in path {
        let members = type_name
            .and_then(|name| schema.entity(name))
            .map_or(&[][..], |entity| &entity.members);
        let member = members.iter().find(|member| member.name == *name);
        match member {
            Some(member) => type_name = member.type_name.as_deref(),
            // The members that depend on others are not listed with them; those of `device_add` and `object-add` are of this kind.
            None if path.len() > 1
                || matches!(
                    command,
                    "device_add" | "object-add" | "netdev_add" | "blockdev-add" | "chardev-add"
                ) =>
            {
                return Ok(None);
            }
            None => {
                let known: Vec<&str> = members.iter().map(|member| &*member.name).collect();
                return Err(format!(
                    "{command} has no argument {name}; it has {}",
                    if known.is_empty() {
                        "none".to_owned()
                    } else {
                        known.join(", ")
                    }
                ));
            }
        }
    }
    Ok(type_name)
}

fn of_type(schema: &Schema, type_name: Option<&str>, text: &str) -> Result<Value, &'static str> {
    let Some(type_name) = type_name else {
        return Ok(guess(text));
    };
    match type_name {
        "str" => return Ok(text.into()),
        "int" => return integer(text).ok_or("a whole number"),
        "number" => return number(text).ok_or("a number"),
        "bool" => return boolean(text).ok_or("true or false"),
        "null" => return Ok(Value::Null),
        "any" => return Ok(guess(text)),
        _ => {}
    }
    match schema.entity(type_name) {
        Some(entity) if entity.meta_type == MetaType::Enum => Ok(text.into()),
        Some(entity) if entity.meta_type == MetaType::Alternate => {
            let json = serde_json::from_str::<Value>(text).ok();
            Ok(json
                .filter(|json| !json.is_number())
                .unwrap_or_else(|| text.into()))
        }
        Some(entity) if entity.meta_type == MetaType::Array => {
            if let Ok(array @ Value::Array(_)) = serde_json::from_str(text) {
                return Ok(array);
            }
            let elements = text.split(',');
            let element = entity.element_type.as_deref();
            elements
                .map(|text| of_type(schema, element, text))
                .collect::<Result<Vec<_>, _>>()
                .map(Value::Array)
        }
        _ => serde_json::from_str(text).map_err(|_| "JSON of the argument's type"),
    }
}

/// A property of a device type, by the name that QEMU gives its type.
fn of_property(type_name: &str, text: &str) -> Result<Value, &'static str> {
    match type_name {
        "bool" => boolean(text).ok_or("on or off"),
        "int" | "int8" | "int16" | "int32" | "int64" | "uint8" | "uint16" | "uint32" | "uint64" => {
            integer(text).ok_or("a whole number")
        }
        _ => Ok(text.into()),
    }
}

/// What is not typed by anything: JSON if it is some, else a string.
fn guess(text: &str) -> Value {
    match boolean(text) {
        Some(value) if matches!(text, "true" | "false") => value,
        _ if text.starts_with("0x") => integer(text).unwrap_or_else(|| text.into()),
        _ => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
    }
}

fn integer(text: &str) -> Option<Value> {
    let (digits, radix) = match text.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    i64::from_str_radix(digits, radix)
        .map(Value::from)
        .or_else(|_| u64::from_str_radix(digits, radix).map(Value::from))
        .ok()
}

fn number(text: &str) -> Option<Value> {
    integer(text).or_else(|| text.parse::<f64>().ok().map(Value::from))
}

fn boolean(text: &str) -> Option<Value> {
    match text {
        "true" | "on" | "yes" => Some(true.into()),
        "false" | "off" | "no" => Some(false.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Schema {
        serde_json::from_value(json!([
            {"name": "c", "meta-type": "command", "arg-type": "1"},
            {"name": "1", "meta-type": "object", "members": [
                {"name": "s", "type": "str"}, {"name": "i", "type": "int"}, {"name": "b", "type": "bool"},
                {"name": "e", "type": "2"}, {"name": "a", "type": "[int]"}, {"name": "o", "type": "3"},
            ]},
            {"name": "2", "meta-type": "enum", "members": [{"name": "1"}]},
            {"name": "[int]", "meta-type": "array", "element-type": "int"},
            {"name": "3", "meta-type": "object", "members": [{"name": "n", "type": "number"}]},
            {"name": "device_add", "meta-type": "command", "arg-type": "4"},
            {"name": "4", "meta-type": "object", "members": [{"name": "driver", "type": "str"}]},
        ]))
        .expect("a schema")
    }

    fn of(command: &str, line: &str) -> Result<Value, String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let property = |name: &str| (name == "bootindex").then_some("int32");
        typed(&schema(), command, &words, property)
    }

    #[test]
    fn each_value_gets_the_type_of_its_argument() {
        let value = of("c", "--s=1 --i=0x10 --b=on --e=1 --a=1,2 --o.n=1.5").expect("typed");
        let expected =
            json!({"s": "1", "i": 16, "b": true, "e": "1", "a": [1, 2], "o": {"n": 1.5}});
        assert_eq!(value, expected);
    }

    #[test]
    fn a_devices_properties_have_types_of_their_own() {
        let value = of("device_add", "--driver=x --bootindex=1 --id=7up").expect("typed");
        assert_eq!(value, json!({"driver": "x", "bootindex": 1, "id": "7up"}));
    }

    #[test]
    fn an_object_is_taken_as_it_is() {
        assert_eq!(of("c", r#"{"s":"x"}"#), Ok(json!({"s": "x"})));
        of("c", "{").expect_err("no JSON");
    }

    #[test]
    fn what_does_not_fit_says_so() {
        let error = |command, line| of(command, line).expect_err("it does not fit");
        assert_eq!(error("c", "--i=x"), "--i: \"x\" is not a whole number");
        assert_eq!(
            error("c", "--z=1"),
            "c has no argument z; it has s, i, b, e, a, o"
        );
        assert_eq!(error("d", "--i=x"), "this QEMU has no command d");
        assert!(error("c", "s=1").contains("--name=value"));
    }
}
