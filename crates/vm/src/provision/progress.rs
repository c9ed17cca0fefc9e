//! [`Progress`]: who watches while something is fetched.

/// Told what goes on while a QEMU is fetched. testjig-vm draws nothing itself.
pub trait Progress {
    /// Another part of the work begins; `what` is a few words for people, in the present.
    fn stage(&self, what: &str);

    /// So many bytes of it are done. Not every stage knows its size: then this is not called.
    fn bytes(&self, done: u64, total: u64);

    /// The work is over, well or not.
    fn done(&self);
}

/// Nobody watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn stage(&self, _: &str) {}
    fn bytes(&self, _: u64, _: u64) {}
    fn done(&self) {}
}
