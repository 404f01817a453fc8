//! Prints figures.

use std::time::Duration;

/// The value below which a share of the sorted times lies.
pub(crate) fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let at = ((sorted.len() as f64 - 1.0) * share).round() as usize;
    sorted[at]
}

/// One line: p50, p90, p99, worst, in microseconds.
pub(crate) fn times(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let us = |share| quantile(&times, share).as_secs_f64() * 1e6;
    println!(
        "{name:<44} p50 {:>8.0} µs   p90 {:>8.0} µs   p99 {:>8.0} µs   max {:>8.0} µs   n {}",
        us(0.5),
        us(0.9),
        us(0.99),
        us(1.0),
        times.len()
    );
}

/// Resident memory of this process, in MB.
pub(crate) fn resident_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1024.0
}

/// Processor time this process has had, to a hundredth of a second.
pub(crate) fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // The name stands in brackets and may have spaces in it.
    let fields = stat.rsplit(')').next().unwrap().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}
