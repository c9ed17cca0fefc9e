//! The device tests that ship with testjig, one file a device.
