//! Spectrum-based localization.

use std::path::Path;

use greenlit_runner::{Failure, FailureKind, Spectrum, TestId};

use super::{Localization, Method, Scores, ranked};

/// What a frame of an uncaught error adds to its line: this share of what is missing to 1.
const FRAME_BONUS: f64 = 0.5;

/// Ochiai (Abreu et al., 2006): for each line, `failing / sqrt(all failing · (failing + passing))`
/// over the tests that executed it. A line on the stack of an uncaught error gets a bonus, the
/// deepest most. `include` says which files may be suspected: no tests, nothing foreign.
pub fn ochiai(
    spectrum: &Spectrum,
    failures: &[(TestId, &Failure)],
    include: &dyn Fn(&Path) -> bool,
) -> Localization {
    let failing = spectrum.tests.iter().filter(|(_, passed)| !passed).count();
    let mut scores = Scores::new();
    for (path, lines) in &spectrum.lines {
        if !include(path) {
            continue;
        }
        for (line, tests) in lines {
            let of = |wanted: bool| {
                tests
                    .iter()
                    .filter_map(|t| spectrum.tests.get(*t as usize))
                    .filter(|(_, passed)| *passed == wanted)
                    .count()
            };
            let (red, green) = (of(false), of(true));
            let below = ((failing * (red + green)) as f64).sqrt();
            if red > 0 && below > 0.0 {
                scores.insert((path.clone(), *line), red as f64 / below);
            }
        }
    }
    for (_, failure) in failures.iter().filter(|(_, f)| f.kind == FailureKind::Error) {
        let frames = failure.trace.iter().rev().filter(|f| include(&f.path));
        for (depth, frame) in frames.take(4).enumerate() {
            let share = FRAME_BONUS / (depth + 1) as f64 / failures.len() as f64;
            let score = scores.entry((frame.path.clone(), frame.line)).or_insert(0.0);
            *score += (1.0 - score.min(1.0)) * share;
        }
    }
    let mut localization = ranked(Method::Spectrum, scores);
    localization.measured_by = Some(spectrum.measured_by.clone());
    localization
}
