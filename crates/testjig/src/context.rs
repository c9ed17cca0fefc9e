//! What a running test can ask for: one value a type, gathered along its path through the graph.

use std::any::{Any, TypeId};
use std::collections::HashMap;

use crate::registry::NodeType;

/// The values that one run of a test may take as parameters.
#[derive(Default)]
pub struct Context {
    values: HashMap<TypeId, Box<dyn Any>>,
}

impl Context {
    /// Adds a value, in place of an earlier one of its type.
    pub fn insert<T: 'static>(&mut self, value: T) {
        self.values.insert(TypeId::of::<T>(), Box::new(value));
    }

    pub(crate) fn insert_any(&mut self, node: NodeType, value: Box<dyn Any>) {
        self.values.insert(node.id(), value);
    }

    pub(crate) fn any(&self, node: NodeType) -> &dyn Any {
        self.values
            .get(&node.id())
            .unwrap_or_else(|| panic!("the graph gave no {}", node.name()))
            .as_ref()
    }

    /// Takes the value out.
    ///
    /// # Panics
    /// If there is none; the graph's check refuses such a test before it runs.
    pub fn take<T: 'static>(&mut self) -> T {
        *self
            .values
            .remove(&TypeId::of::<T>())
            .and_then(|value| value.downcast().ok())
            .unwrap_or_else(|| panic!("the graph gave no {}", NodeType::of::<T>().name()))
    }

    /// Borrows the value.
    ///
    /// # Panics
    /// As [`Context::take`].
    pub fn get<T: 'static>(&self) -> &T {
        self.any(NodeType::of::<T>())
            .downcast_ref()
            .expect("values are kept by their own type")
    }
}
