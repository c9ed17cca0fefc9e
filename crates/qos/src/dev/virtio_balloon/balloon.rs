//! [`Balloon`]: a balloon device that works, and [`Page`].

use super::{BalloonFeature, Config, HintCommand, Stat, VirtioBalloon, stats};
use crate::mem::{GuestAlloc, GuestBuf};
use crate::virtio::{Features, Segment, Virtio, Virtqueue};

/// Bytes of a page, whatever the machine's are (§5.5.6).
pub const PAGE: u64 = 4096;

/// Pages in guest memory, for the device to have.
#[derive(Debug)]
pub struct Page(GuestBuf);

impl Page {
    /// The number of the first of them: its address divided by [`PAGE`].
    pub fn pfn(&self) -> u32 {
        (self.0.addr() / PAGE) as u32
    }

    /// Their memory.
    pub fn memory(&self) -> &GuestBuf {
        &self.0
    }

    /// Whether all bytes are zero, as those of a page are that was given away.
    #[track_caller]
    pub fn is_empty(&self) -> bool {
        self.0.to_vec().iter().all(|&byte| byte == 0)
    }
}

/// A balloon device that was negotiated with and started.
#[derive(Debug)]
pub struct Balloon {
    driver: VirtioBalloon,
    inflate: Virtqueue,
    deflate: Virtqueue,
    stats: Option<Virtqueue>,
    hints: Option<Virtqueue>,
    reports: Option<Virtqueue>,
}

impl Balloon {
    #[track_caller]
    pub(super) fn new(driver: VirtioBalloon) -> Self {
        let device = driver.device();
        let features = device.negotiated();
        // §5.5.2.
        let queue = |feature, index| features.contains(feature).then(|| device.queue(index));
        let [inflate, deflate] = [0, 1].map(|index| device.queue(index));
        let stats = queue(BalloonFeature::STATS_VQ, 2);
        let hints = queue(BalloonFeature::FREE_PAGE_HINT, 3);
        let reports = queue(BalloonFeature::PAGE_REPORTING, 4);
        Self {
            driver,
            inflate,
            deflate,
            stats,
            hints,
            reports,
        }
    }

    /// The driver, to start it anew.
    pub fn balloon(&self) -> &VirtioBalloon {
        &self.driver
    }

    /// The device.
    pub fn device(&self) -> &Virtio {
        self.driver.device()
    }

    /// Its configuration.
    pub fn config(&self) -> Config<'_> {
        self.driver.config()
    }

    /// What was agreed on.
    pub fn features(&self) -> Features {
        self.device().negotiated()
    }

    /// The virtqueue of pages that are given.
    pub fn inflate_queue(&self) -> &Virtqueue {
        &self.inflate
    }

    /// The virtqueue of pages that are taken again.
    pub fn deflate_queue(&self) -> &Virtqueue {
        &self.deflate
    }

    #[track_caller]
    fn agreed<'a>(&self, queue: Option<&'a Virtqueue>, of: &str) -> &'a Virtqueue {
        match queue {
            Some(queue) => queue,
            None => panic!("{:?} has no virtqueue of {of}", self.device()),
        }
    }

    /// The virtqueue of statistics.
    ///
    /// # Panics
    /// If it was not agreed on.
    #[track_caller]
    pub fn stats_queue(&self) -> &Virtqueue {
        self.agreed(self.stats.as_ref(), "statistics")
    }

    /// The virtqueue of hints.
    ///
    /// # Panics
    /// If it was not agreed on.
    #[track_caller]
    pub fn hint_queue(&self) -> &Virtqueue {
        self.agreed(self.hints.as_ref(), "hints")
    }

    /// The virtqueue of reports.
    ///
    /// # Panics
    /// If it was not agreed on.
    #[track_caller]
    pub fn report_queue(&self) -> &Virtqueue {
        self.agreed(self.reports.as_ref(), "reports")
    }

    fn alloc(&self) -> GuestAlloc {
        GuestAlloc::of(self.device().vm())
    }

    /// A page that is filled with 0xa5, for the device.
    #[track_caller]
    pub fn page(&self) -> Page {
        self.pages(1)
    }

    /// So many pages in a row, filled with 0xa5.
    #[track_caller]
    pub fn pages(&self, count: u64) -> Page {
        let memory = self.alloc().request(count * PAGE).align(PAGE).buf();
        memory.fill(0xa5);
        Page(memory)
    }

    /// The numbers of pages in guest memory.
    #[track_caller]
    pub fn numbers(&self, pfns: &[u32]) -> GuestBuf {
        let order = self.device().order();
        let bytes: Vec<u8> = pfns.iter().flat_map(|&pfn| order.bytes32(pfn)).collect();
        self.alloc().copy_of(&bytes)
    }

    /// Gives the device pages by number, and waits until it has them.
    #[track_caller]
    pub fn inflate(&self, pfns: &[u32]) {
        self.inflate.run(&[self.numbers(pfns).readable()]);
    }

    /// Takes pages again, and waits until the device knows.
    #[track_caller]
    pub fn deflate(&self, pfns: &[u32]) {
        self.deflate.run(&[self.numbers(pfns).readable()]);
    }

    /// Shows the device counts, which it keeps until it wants others.
    #[track_caller]
    pub fn offer_stats(&self, all: &[Stat]) -> GuestBuf {
        let memory = self.alloc().copy_of(&stats(self.device().order(), all));
        self.stats_queue().add(&[memory.readable()]);
        self.stats_queue().kick();
        memory
    }

    /// Reports that pieces of memory are free, and waits until the device has taken note.
    #[track_caller]
    pub fn report(&self, pieces: &[Segment]) {
        self.report_queue().run(pieces);
    }

    /// Says which hints follow, or that none do, and waits until the device has heard it.
    #[track_caller]
    pub fn say_hints(&self, command: HintCommand) {
        let bytes = self.device().order().bytes32(command.0);
        let memory = self.alloc().copy_of(&bytes);
        self.hint_queue().run(&[memory.readable()]);
    }

    /// Hints that pieces of memory are free, and waits until the device has taken note.
    #[track_caller]
    pub fn hint(&self, pieces: &[Segment]) {
        self.hint_queue().run(pieces);
    }
}
