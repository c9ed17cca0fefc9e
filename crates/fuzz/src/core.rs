//! [`Core`]: a worker and its machines take turns, so they share one processor.
//!
//! Only one of them has something to do at any time. On two processors each of many turns wakes one that sleeps, which in a virtual
//! machine takes longer than most turns, and what one has in its cache the other has not.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

/// How often it is seen whether another processor is free.
const SPAN: Duration = Duration::from_secs(2);
/// A processor that was idle for more percent of the time than this is free.
const FREE: u64 = 60;

/// The processor that a worker's thread runs on, and all that it starts from then on.
pub(crate) struct Core {
    number: usize,
    allowed: Vec<usize>,
    looked: Instant,
    before: Vec<Times>,
}

/// How long a processor was idle, and how long it was there.
#[derive(Clone, Copy, Default)]
struct Times {
    idle: u64,
    all: u64,
}

impl Core {
    /// The one that this thread is on. `None` if there is no choice, or the system declines.
    pub(crate) fn choose() -> Option<Self> {
        let set = sched_getaffinity(None).ok()?;
        let allowed: Vec<usize> = (0..CpuSet::MAX_CPU)
            .filter(|cpu| set.is_set(*cpu))
            .collect();
        if allowed.len() < 2 {
            return None;
        }
        let core = Self {
            number: sched_getcpu(),
            allowed,
            looked: Instant::now(),
            before: times(),
        };
        core.settle([]).then_some(core)
    }

    /// Once in a while: goes to another processor with all of these processes, if that one has little to do.
    pub(crate) fn look(&mut self, processes: impl IntoIterator<Item = u32>) {
        if self.looked.elapsed() < SPAN {
            return;
        }
        self.looked = Instant::now();
        let now = times();
        let idle = |cpu: usize| {
            let (now, before) = (now.get(cpu)?, self.before.get(cpu)?);
            let all = now.all.saturating_sub(before.all).max(1);
            Some(now.idle.saturating_sub(before.idle) * 100 / all)
        };
        let free = self
            .allowed
            .iter()
            .copied()
            .filter(|cpu| idle(*cpu).is_some_and(|idle| idle > FREE))
            .find(|cpu| *cpu != self.number);
        self.before = now;
        if let Some(free) = free {
            self.number = free;
            self.settle(processes);
        }
    }

    fn settle(&self, processes: impl IntoIterator<Item = u32>) -> bool {
        let mut set = CpuSet::new();
        set.set(self.number);
        for process in processes {
            let process = i32::try_from(process).ok().and_then(Pid::from_raw);
            // One that has gone goes nowhere.
            let _ = process.map(|process| sched_setaffinity(Some(process), &set));
        }
        sched_setaffinity(None, &set).is_ok()
    }
}

/// Of each processor: the lines `cpuN` of proc(5)'s `stat`, by number.
fn times() -> Vec<Times> {
    times_in(&fs::read_to_string("/proc/stat").unwrap_or_default())
}

fn times_in(stat: &str) -> Vec<Times> {
    let mut times = Vec::new();
    for line in stat.lines() {
        let mut words = line.split_whitespace();
        let number = words.next().and_then(|word| word.strip_prefix("cpu"));
        let Some(number) = number.and_then(|number| number.parse::<usize>().ok()) else {
            continue;
        };
        let spans: Vec<u64> = words.filter_map(|word| word.parse().ok()).collect();
        // user, nice, system, idle, iowait, irq, softirq, steal; what follows is in user already.
        let idle = spans.iter().skip(3).take(2).sum();
        let all = spans.iter().take(8).sum();
        if number >= times.len() && number < CpuSet::MAX_CPU {
            times.resize(number + 1, Times::default());
        }
        if let Some(place) = times.get_mut(number) {
            *place = Times { idle, all };
        }
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_is_known_by_its_number() {
        let stat = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 2 3 4 5 6 7 8 9 9\ncpu2 0 0 0 7 0 0 0 1 0 0\nintr 1\n";
        let times: Vec<(u64, u64)> = times_in(stat)
            .into_iter()
            .map(|times| (times.idle, times.all))
            .collect();
        assert_eq!(times, [(9, 36), (0, 0), (7, 8)]);
    }

    #[test]
    fn a_thread_stays_where_it_is_put() {
        let core = std::thread::spawn(|| {
            let core = Core::choose()?;
            let set = sched_getaffinity(None).ok()?;
            assert_eq!(set.count(), 1);
            assert!(set.is_set(core.number));
            Some(())
        });
        // On a host with one processor there is no choice.
        let _ = core.join().expect("no panic");
    }
}
