//! Device drivers, one module a device, named as its data sheet names it.

pub mod mc146818;
