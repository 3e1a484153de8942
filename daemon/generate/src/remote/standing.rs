//! What all who ask one endpoint share: what it takes, how often it may be asked, and whether it is
//! asked at all (a circuit breaker: Nygard, "Release It!", chapter "Stability Patterns").

use std::collections::VecDeque;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::EndpointError;
use super::dialect::Dialect;

/// Failures in a row after which an endpoint is left alone.
const FAILURES: u32 = 5;
/// For how long at first; doubled each time that it fails again.
const REST: Duration = Duration::from_secs(30);
const LONGEST_REST: Duration = Duration::from_secs(600);
const MINUTE: Duration = Duration::from_secs(60);
/// The longest wait that an endpoint gets, whatever it asks for.
const DAY: Duration = Duration::from_secs(86_400);

/// How an endpoint stands with those who ask it.
#[derive(Debug, Default)]
pub struct Standing {
    pub(super) dialect: Dialect,
    limits: Limits,
    traffic: Mutex<Traffic>,
}

/// What an endpoint may be asked for at most; `None`: as much as one likes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests in any minute.
    pub per_minute: Option<NonZeroU32>,
    /// Tokens of prompts and replies in any 24 hours. A request that was let in is not cut off for it.
    pub tokens_per_day: Option<NonZeroU64>,
}

#[derive(Debug, Default)]
struct Traffic {
    /// When the requests of the last minute were sent, oldest first.
    sent: VecDeque<Instant>,
    /// When tokens of the last 24 hours were spent, oldest first.
    spent: VecDeque<(Instant, u64)>,
    /// The endpoint asked not to be asked before.
    not_before: Option<Instant>,
    failures: u32,
    rest: Option<Rest>,
}

#[derive(Debug, Clone, Copy)]
struct Rest {
    until: Instant,
    lasts: Duration,
    /// Somebody finds out whether it answers again.
    trying: bool,
}

/// Why an endpoint is not asked now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It would be too often; in so long it is not.
    Wait(Duration),
    /// It failed so often in a row that it is left alone for so long.
    Rest { failures: u32, rest: Duration },
    /// It took so many tokens of the most that it may take in 24 hours.
    Spent { tokens: u64, most: u64 },
}

/// The right to ask once.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    standing: &'a Standing,
    /// It finds out whether the endpoint answers again.
    trial: bool,
}

impl Standing {
    /// Of an endpoint that may be asked for so much.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Tokens that were spent before somebody could count them here, each so long ago, longest ago first.
    pub fn spent_before(&self, spent: impl IntoIterator<Item = (Duration, u64)>) {
        let now = Instant::now();
        let mut traffic = self.traffic();
        let since = std::mem::take(&mut traffic.spent);
        let before =
            spent.into_iter().filter_map(|(ago, tokens)| Some((now.checked_sub(ago)?, tokens)));
        traffic.spent = before.chain(since).collect();
    }

    /// A call took tokens, however it ended.
    pub(super) fn spend(&self, now: Instant, tokens: u64) {
        self.traffic().spent.push_back((now, tokens));
    }

    pub(super) fn admit(&self, now: Instant) -> Result<Permit<'_>, Refusal> {
        let mut traffic = self.traffic();
        let failures = traffic.failures;
        let rest = traffic.rest.filter(|rest| rest.trying || rest.until > now);
        if let Some(Rest { until, .. }) = rest {
            return Err(Refusal::Rest { failures, rest: until.saturating_duration_since(now) });
        }
        if let Some(asked) = traffic.not_before.filter(|asked| *asked > now) {
            return Err(Refusal::Wait(asked - now));
        }
        while traffic.spent.front().is_some_and(|(spent, _)| *spent + DAY <= now) {
            traffic.spent.pop_front();
        }
        if let Some(most) = self.limits.tokens_per_day {
            let tokens =
                traffic.spent.iter().fold(0, |sum: u64, (_, tokens)| sum.saturating_add(*tokens));
            if tokens >= most.get() {
                return Err(Refusal::Spent { tokens, most: most.get() });
            }
        }
        if let Some(most) = self.limits.per_minute {
            while traffic.sent.front().is_some_and(|sent| *sent + MINUTE <= now) {
                traffic.sent.pop_front();
            }
            if traffic.sent.len() >= most.get() as usize
                && let Some(oldest) = traffic.sent.front()
            {
                return Err(Refusal::Wait(*oldest + MINUTE - now));
            }
            traffic.sent.push_back(now);
        }
        let trial = traffic.rest.is_some();
        if let Some(rest) = &mut traffic.rest {
            rest.trying = true;
        }
        Ok(Permit { standing: self, trial })
    }

    fn traffic(&self) -> MutexGuard<'_, Traffic> {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// A reply begins: nobody else has to wait for its end.
    pub(super) fn answers(&self) {
        self.standing.traffic().rest = None;
    }

    /// It answered, be it with a refusal.
    pub(super) fn answered(self) {
        let mut traffic = self.standing.traffic();
        traffic.failures = 0;
        traffic.rest = None;
    }

    /// It did not, or not what an endpoint answers.
    pub(super) fn failed(self, error: &EndpointError, now: Instant) {
        let mut traffic = self.standing.traffic();
        if let Some(wait) = error.wanted_wait() {
            traffic.not_before = Some(now + wait.min(DAY)).max(traffic.not_before);
        }
        if matches!(error, EndpointError::Busy { .. }) || error.is_lasting() {
            drop(traffic);
            return self.answered();
        }
        traffic.failures += 1;
        // What was asked before it was left alone is no news.
        if traffic.failures >= FAILURES && (self.trial || traffic.rest.is_none()) {
            let lasts = traffic.rest.map_or(REST, |rest| (rest.lasts * 2).min(LONGEST_REST));
            traffic.rest = Some(Rest { until: now + lasts, lasts, trying: false });
        }
    }
}

impl Drop for Permit<'_> {
    /// Whoever gave up in the middle found out nothing.
    fn drop(&mut self) {
        if self.trial
            && let Some(rest) = &mut self.standing.traffic().rest
        {
            rest.trying = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn fail(standing: &Standing, now: Instant) {
        standing.admit(now).unwrap().failed(&EndpointError::Cut, now);
    }

    #[test]
    fn an_endpoint_that_keeps_failing_is_left_alone_then_tried_by_one() {
        let (standing, start) = (Standing::default(), Instant::now());
        (0..FAILURES).for_each(|_| fail(&standing, start));
        let refused = standing.admit(start + seconds(10)).unwrap_err();
        assert_eq!(refused, Refusal::Rest { failures: FAILURES, rest: seconds(20) });
        let later = start + REST;
        let trying = standing.admit(later).unwrap();
        assert!(matches!(standing.admit(later), Err(Refusal::Rest { .. })), "one at a time");
        drop(trying);
        fail(&standing, later);
        let refused = standing.admit(later).unwrap_err();
        assert_eq!(refused, Refusal::Rest { failures: FAILURES + 1, rest: REST * 2 });
        standing.admit(later + REST * 2).unwrap().answered();
        fail(&standing, later);
        assert!(standing.admit(later).is_ok(), "it begins anew");
    }

    #[test]
    fn what_was_asked_before_prolongs_no_rest_and_ends_no_trial() {
        let (standing, start) = (Standing::default(), Instant::now());
        let early: Vec<_> = (0..3).map(|_| standing.admit(start).unwrap()).collect();
        (0..FAILURES).for_each(|_| fail(&standing, start));
        let trial = standing.admit(start + REST).unwrap();
        early.into_iter().for_each(|permit| permit.failed(&EndpointError::Cut, start + REST));
        assert!(matches!(standing.admit(start + REST), Err(Refusal::Rest { .. })));
        trial.answers();
        assert!(standing.admit(start + REST).is_ok(), "before the reply has come to its end");
    }

    #[test]
    fn the_longest_rest_is_bounded() {
        let (standing, mut now) = (Standing::default(), Instant::now());
        for _ in 0..20 {
            while standing.admit(now).is_ok() {
                fail(&standing, now);
            }
            now += LONGEST_REST;
        }
        assert!(standing.admit(now).is_ok());
    }

    #[test]
    fn a_refusal_is_an_answer() {
        let (standing, now) = (Standing::default(), Instant::now());
        for _ in 0..2 * FAILURES {
            let permit = standing.admit(now).unwrap();
            permit.failed(&EndpointError::Key { status: 401 }, now);
            standing.admit(now).unwrap().failed(&EndpointError::Busy { after: None }, now);
        }
        assert!(standing.admit(now).is_ok());
    }

    #[test]
    fn nobody_asks_before_the_endpoint_wants_to_be_asked() {
        let (standing, now) = (Standing::default(), Instant::now());
        let busy = |secs| EndpointError::Busy { after: Some(seconds(secs)) };
        standing.admit(now).unwrap().failed(&busy(7), now);
        assert_eq!(standing.admit(now + seconds(3)).unwrap_err(), Refusal::Wait(seconds(4)));
        assert!(standing.admit(now + seconds(7)).is_ok());
        let endless = EndpointError::Busy { after: Some(Duration::MAX) };
        standing.admit(now + seconds(7)).unwrap().failed(&endless, now);
        assert_eq!(standing.admit(now).unwrap_err(), Refusal::Wait(DAY));
    }

    #[test]
    fn no_minute_has_more_requests_than_allowed() {
        let limits = Limits { per_minute: NonZeroU32::new(2), ..Limits::default() };
        let (standing, now) = (Standing::new(limits), Instant::now());
        standing.admit(now).unwrap().answered();
        standing.admit(now + seconds(30)).unwrap().answered();
        let refused = standing.admit(now + seconds(45)).unwrap_err();
        assert_eq!(refused, Refusal::Wait(seconds(15)));
        assert!(standing.admit(now + seconds(60)).is_ok());
        assert_eq!(standing.admit(now + seconds(60)).unwrap_err(), Refusal::Wait(seconds(30)));
    }

    #[test]
    fn no_day_has_more_tokens_than_allowed() {
        let limits = Limits { tokens_per_day: NonZeroU64::new(100), ..Limits::default() };
        let (standing, now) = (Standing::new(limits), Instant::now());
        standing.spend(now, 99);
        standing.admit(now).unwrap().answered();
        standing.spend(now + seconds(10), 50);
        let refused = standing.admit(now + seconds(10)).unwrap_err();
        assert_eq!(refused, Refusal::Spent { tokens: 149, most: 100 });
        assert!(standing.admit(now + DAY).is_ok(), "the first ones are older than a day");
        // What was spent before this process began counts as well.
        standing.spent_before([(Duration::MAX, 1000), (seconds(5), 60)]);
        let refused = standing.admit(Instant::now()).unwrap_err();
        assert_eq!(refused, Refusal::Spent { tokens: 110, most: 100 });
        let unlimited = Standing::default();
        unlimited.spend(now, u64::MAX);
        assert!(unlimited.admit(now).is_ok());
    }
}
