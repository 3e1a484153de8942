//! The table: per language and purpose.

use crate::inject::Fault;
use crate::manifest::{Ecosystem, Role};
use crate::median;
use crate::results::{FaultRecord, Measured, Record, Results};

/// The whole report below the head.
pub fn table(results: &Results) -> String {
    let mut text = String::new();
    for role in [Role::Development, Role::Evaluation] {
        for ecosystem in Ecosystem::ALL {
            let packages: Vec<_> = results
                .packages()
                .into_iter()
                .filter(|p| p.role == role && p.ecosystem == ecosystem)
                .collect();
            if packages.is_empty() {
                continue;
            }
            let faults: Vec<_> = results
                .records
                .iter()
                .filter_map(|record| match record {
                    Record::Fault(f) if f.role == role && f.ecosystem == ecosystem => Some(&**f),
                    _ => None,
                })
                .collect();
            let problems = packages.iter().filter(|p| p.problem.is_some()).count();
            text.push_str(&format!(
                "\n{} · {} · {} packages, {problems} could not be measured\n",
                ecosystem.name(),
                role_name(role),
                packages.len(),
            ));
            for package in packages {
                if let Some(problem) = &package.problem {
                    let shown: String = problem.chars().take(160).collect();
                    text.push_str(&format!("  {} {}: {shown}\n", package.name, package.version));
                }
            }
            for fault in &faults {
                if let Some(measured) = &fault.measured {
                    text.push_str(&format!(
                        "  {} {}\n",
                        fault.package,
                        line(&fault.fault, measured)
                    ));
                }
            }
            text.push_str(&lines(&faults));
        }
    }
    text
}

/// One fault in one line.
pub fn line(fault: &Fault, measured: &Measured) -> String {
    let verdict = match (&measured.error, measured.right.first()) {
        (Some(error), _) => format!("no answer: {error}"),
        (None, Some(true)) => "first right".to_owned(),
        (None, Some(false)) => format!("first wrong, {} offered", measured.right.len()),
        (None, None) => "nothing offered".to_owned(),
    };
    let why = measured.why.as_deref().map(|why| format!(" ({why})")).unwrap_or_default();
    format!(
        "{} {}:{}: {verdict}{why}; {:.1} × bare; failing {}+{} hidden; line rank {} ({}); {} of {} candidates run",
        fault.operator,
        fault.path.display(),
        fault.first_line,
        measured.ratio(),
        measured.visible,
        measured.hidden,
        measured.line_rank.map_or_else(|| "none".to_owned(), |rank| rank.to_string()),
        measured.method.as_deref().unwrap_or("not located"),
        measured.run,
        measured.generated,
    )
}

/// As in the manifests.
pub fn role_name(role: Role) -> &'static str {
    match role {
        Role::Development => "development",
        Role::Evaluation => "evaluation",
    }
}

fn lines(faults: &[&FaultRecord]) -> String {
    let measured: Vec<&Measured> = faults.iter().filter_map(|f| f.measured.as_ref()).collect();
    let count = |wanted: &dyn Fn(&Measured) -> bool| measured.iter().filter(|m| wanted(m)).count();
    let of = |part: usize, all: usize| match all {
        0 => "none".to_owned(),
        all => format!("{part}/{all} ({:.0} %)", 100.0 * part as f64 / all as f64),
    };
    let all = measured.len();
    let offered = count(&|m| !m.right.is_empty());
    let first = count(&|m| m.right.first() == Some(&true));
    let every: Vec<bool> = measured.iter().flat_map(|m| m.right.iter().copied()).collect();
    let located = count(&|m| m.method.is_some());
    let hits = [1, 5, 10].map(|n| count(&|m| m.line_rank.is_some_and(|rank| rank <= n)));
    let numbers = |of: &[&Measured], value: &dyn Fn(&Measured) -> f64| {
        let middle = median(of.iter().map(|m| value(m)).collect());
        middle.map_or_else(|| "none".to_owned(), |middle| format!("{middle:.1}"))
    };
    let mended: Vec<&Measured> = measured.iter().copied().filter(|m| !m.right.is_empty()).collect();
    let worst = mended.iter().map(|m| m.ratio()).max_by(f64::total_cmp).unwrap_or_default();
    let mut text = format!(
        "  faults {all} ({} with hidden failing tests; {} drawn and discarded)\n\
         \x20 offered                     {}\n\
         \x20 first offered right         {}\n\
         \x20 any offered right           {}\n\
         \x20 precision, first offer      {}\n\
         \x20 precision, every offer      {}\n\
         \x20 fault among suspicious lines, top 1: {}  top 5: {}  top 10: {}  (located: {})\n\
         \x20 candidates per fault, median: {} proposed, {} run\n\
         \x20 candidates per fix, median: {} proposed, {} run\n\
         \x20 command, in bare test runs, median: {} all, {} with an offer (worst {worst:.1})\n\
         \x20 no answer                   {}\n",
        count(&|m| m.hidden > 0),
        faults.len() - all,
        of(offered, all),
        of(first, all),
        of(count(&|m| m.right.contains(&true)), all),
        of(first, offered),
        of(every.iter().filter(|right| **right).count(), every.len()),
        of(hits[0], all),
        of(hits[1], all),
        of(hits[2], all),
        of(located, all),
        numbers(&measured, &|m| m.generated as f64),
        numbers(&measured, &|m| m.run as f64),
        numbers(&mended, &|m| m.generated as f64),
        numbers(&mended, &|m| m.run as f64),
        numbers(&measured, &|m| m.ratio()),
        numbers(&mended, &|m| m.ratio()),
        of(count(&|m| m.error.is_some()), all),
    );
    text.push_str(&tally("  located by", measured.iter().filter_map(|m| m.method.clone())));
    text.push_str(&tally("  discarded", faults.iter().filter_map(|f| f.discarded.clone())));
    text.push_str(&tally("  why not right", measured.iter().filter_map(|m| m.why.clone())));
    let by_operator = faults.iter().filter(|f| f.measured.is_some()).map(|f| {
        let right = f.measured.as_ref().is_some_and(|m| m.right.first() == Some(&true));
        format!("{} {}", f.fault.operator, if right { "✓" } else { "✗" })
    });
    text.push_str(&tally("  by operator", by_operator));
    text
}

/// `title: 3 × this, 1 × that`
fn tally(title: &str, words: impl Iterator<Item = String>) -> String {
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    for word in words {
        let short = word.split(':').next().unwrap_or_default().to_owned();
        *counts.entry(short).or_default() += 1;
    }
    if counts.is_empty() {
        return String::new();
    }
    let parts: Vec<_> = counts.iter().map(|(word, count)| format!("{count} × {word}")).collect();
    format!("{title}: {}\n", parts.join(", "))
}
