//! The time stamp counter of this machine: [`tsc_khz`].

/// How fast this machine's time stamp counter goes, in kHz, to some ten parts in a million. It is what a guest of QEMU's without KVM reads
/// as its own. `None` on machines that are no x86_64.
///
/// It is measured once in a process, which takes 5 ms.
#[cfg(target_arch = "x86_64")]
pub fn tsc_khz() -> Option<u32> {
    use std::sync::OnceLock;
    use std::thread;
    use std::time::Duration;

    static MEASURED: OnceLock<Option<u32>> = OnceLock::new();
    *MEASURED.get_or_init(|| {
        let (then, before) = now();
        thread::sleep(Duration::from_millis(5));
        let (later, after) = now();
        let nanos = u64::try_from(later.duration_since(then).as_nanos()).ok()?;
        let khz = after.checked_sub(before)?.checked_mul(1_000_000)? / nanos;
        u32::try_from(khz).ok().filter(|khz| *khz > 0)
    })
}

/// The same where there is none.
#[cfg(not(target_arch = "x86_64"))]
pub fn tsc_khz() -> Option<u32> {
    None
}

/// The time, and the counter at that time.
#[cfg(target_arch = "x86_64")]
fn now() -> (std::time::Instant, u64) {
    use std::arch::x86_64::_rdtsc;
    use std::time::Instant;

    // Of several tries the one that nothing came in between of.
    let tries = (0..8).map(|_| {
        let before = Instant::now();
        #[expect(unsafe_code, reason = "the instruction has no safe interface")]
        // SAFETY: every x86_64 processor has the instruction, and Linux lets programs use it.
        let count = unsafe { _rdtsc() };
        let took = before.elapsed();
        (took, (before + took / 2, count))
    });
    tries
        .min_by_key(|(took, _)| *took)
        .map_or((Instant::now(), 0), |(_, found)| found)
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn the_counter_goes_as_fast_as_measured() {
        let khz = u128::from(tsc_khz().expect("an x86_64"));
        let (then, before) = now();
        std::thread::sleep(std::time::Duration::from_millis(50));
        let (later, after) = now();
        let nanos = u128::from(after - before) * 1_000_000 / khz;
        let real = later.duration_since(then).as_nanos();
        assert!(
            nanos.abs_diff(real) * 1000 < real,
            "{nanos} instead of {real} ns"
        );
    }
}
