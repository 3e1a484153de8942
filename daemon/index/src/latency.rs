//! How long searches take.

use std::collections::VecDeque;
use std::time::Duration;

/// Searches that are remembered.
const KEPT: usize = 1024;

/// The last searches.
#[derive(Debug, Default)]
pub(crate) struct Latencies(VecDeque<Duration>);

/// Percentiles over the last searches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Latency {
    /// Searches that they are over, at most 1024.
    pub count: u64,
    /// Half took less.
    pub p50: Duration,
    /// Nine of ten took less.
    pub p90: Duration,
    /// All but one of a hundred took less.
    pub p99: Duration,
}

impl Latencies {
    pub(crate) fn record(&mut self, took: Duration) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(took);
    }

    pub(crate) fn percentiles(&self) -> Latency {
        let mut sorted: Vec<Duration> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        let at = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
            sorted.get(rank).copied().unwrap_or_default()
        };
        Latency { count: sorted.len() as u64, p50: at(50), p90: at(90), p99: at(99) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_last_searches() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.percentiles(), Latency::default());
        (0..2000).for_each(|_| latencies.record(Duration::from_secs(9)));
        (1..=KEPT as u64).rev().for_each(|n| latencies.record(Duration::from_millis(n)));
        let found = latencies.percentiles();
        assert_eq!(found.count, 1024);
        assert_eq!(found.p50, Duration::from_millis(512));
        assert_eq!(found.p90, Duration::from_millis(922));
        assert_eq!(found.p99, Duration::from_millis(1014));
    }
}
