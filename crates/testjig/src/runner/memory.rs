//! How much memory is to be had: with little of it a run keeps fewer machines.

use std::fs;

/// A run leaves the host that share of its memory.
const RESERVE: u64 = 8;

/// Whether no more machines should be kept than needed.
pub(super) fn is_short() -> bool {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let host = of_host(&read("/proc/meminfo"));
    let group = of_group(
        &read("/sys/fs/cgroup/memory.max"),
        &read("/sys/fs/cgroup/memory.current"),
        &read("/sys/fs/cgroup/memory.stat"),
    );
    [host, group].into_iter().flatten().any(Memory::is_short)
}

/// Both in the same unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Memory {
    total: u64,
    available: u64,
}

impl Memory {
    fn is_short(self) -> bool {
        self.available < self.total / RESERVE
    }
}

/// The value of a line `key value …` or `key: value …`.
fn value(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let rest = line.strip_prefix(key)?;
        let rest = rest.strip_prefix(':').unwrap_or(rest);
        let rest = rest.strip_prefix(' ')?;
        rest.split_whitespace().next()?.parse().ok()
    })
}

/// By `/proc/meminfo`.
fn of_host(meminfo: &str) -> Option<Memory> {
    Some(Memory {
        total: value(meminfo, "MemTotal")?,
        available: value(meminfo, "MemAvailable")?,
    })
}

/// By the files of a control group, where it has a limit. What it has read of files the kernel gives back.
fn of_group(max: &str, current: &str, stat: &str) -> Option<Memory> {
    let total: u64 = max.trim().parse().ok()?;
    let current: u64 = current.trim().parse().ok()?;
    let used = current.saturating_sub(value(stat, "inactive_file").unwrap_or(0));
    Some(Memory {
        total,
        available: total.saturating_sub(used),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_s_memory_is_what_it_says() {
        let memory = of_host("MemTotal:       1000 kB\nMemFree: 7 kB\nMemAvailable:    124 kB\n");
        let expected = Memory {
            total: 1000,
            available: 124,
        };
        assert_eq!(memory, Some(expected));
        assert!(expected.is_short());
        assert!(
            !Memory {
                available: 125,
                ..expected
            }
            .is_short()
        );
        assert_eq!(of_host(""), None);
    }

    #[test]
    fn a_group_without_a_limit_limits_nothing() {
        assert_eq!(of_group("max\n", "5\n", ""), None);
        let memory = of_group("100\n", "95\n", "anon 60\ninactive_file 30\n").expect("a limit");
        assert_eq!((memory.total, memory.available), (100, 35));
    }
}
