//! Everything that is measured, in Prometheus' text format.

use std::fmt::Write;

use crate::totals::written;

/// One measure of now.
#[derive(Debug, Clone, PartialEq)]
pub struct Gauge {
    /// Without its prefix.
    pub name: &'static str,
    /// One line.
    pub help: &'static str,
    /// Names and values.
    pub label: Vec<(&'static str, String)>,
    /// In base units.
    pub value: f64,
}

/// How a sum is shown.
struct Sum {
    /// In the database.
    kept: &'static str,
    /// Without its prefix.
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    /// By how much values are divided, for base units.
    by: f64,
}

const fn counter(kept: &'static str, name: &'static str, help: &'static str) -> Sum {
    Sum { kept, name, kind: "counter", help, by: 1.0 }
}

const SUMS: &[Sum] = &[
    counter("attempts", "attempts_total", "Candidates and model calls, by how they ended."),
    counter("offered", "fixes_offered_total", "Verified fixes that were offered."),
    counter("applied", "fixes_applied_total", "Offered fixes that a person applied."),
    counter("dismissed", "fixes_dismissed_total", "Offered fixes that a person dismissed."),
    counter("reverted", "fixes_reverted_total", "Applied fixes that were taken back later."),
    counter("searches", "searches_total", "Searches for fixes, by how they ended."),
    Sum { by: 1000.0, ..counter("search_ms", "search_seconds_total", "Wall time of searches.") },
    Sum {
        by: 1000.0,
        ..counter("search_cpu_ms", "search_cpu_seconds_total", "CPU time of searches.")
    },
    counter("candidates", "candidates_total", "Candidates, by how far they got."),
    counter(
        "verification_falls",
        "verification_falls_total",
        "Candidates that screening let through and the whole suite did not, by why.",
    ),
    counter(
        "model_calls",
        "model_calls_total",
        "Calls of models; invalid ones break the contract.",
    ),
    counter("model_rounds", "model_rounds_total", "Rounds in which models were asked."),
    counter("model_tokens", "model_tokens_total", "Tokens that models read and wrote."),
    counter(
        "retrieved_passages",
        "retrieved_passages_total",
        "Passages retrieved for fixes, by whether these change lines of them.",
    ),
    Sum {
        kind: "gauge",
        ..counter("model_info", "model_info", "Models that were asked; always 1.")
    },
];

/// Sums as [`Store::totals`](crate::Store::totals) has them, and what is so now.
pub fn exposition(totals: &[(String, String, i64)], gauges: &[Gauge]) -> String {
    let mut text = String::new();
    write(&mut text, totals, gauges).expect("writing to a string does not fail");
    text
}

fn write(
    text: &mut String,
    totals: &[(String, String, i64)],
    gauges: &[Gauge],
) -> std::fmt::Result {
    let of = |kept: &'static str| totals.iter().filter(move |(name, ..)| name == kept);
    for sum in SUMS {
        if of(sum.kept).next().is_none() {
            continue;
        }
        head(text, sum.name, sum.kind, sum.help)?;
        for (_, label, value) in of(sum.kept) {
            sample(text, sum.name, label, *value as f64 / sum.by)?;
        }
    }
    const CALLS: &str = "model_call_seconds";
    if of("model_ms_count").next().is_some() {
        head(text, CALLS, "histogram", "How long calls of models took.")?;
    }
    for (_, label, count) in of("model_ms_count") {
        let bucket = format!("{CALLS}_bucket");
        let mut buckets: Vec<(f64, i64)> = of("model_ms_bucket")
            .filter_map(|(_, of, value)| {
                let bound = of.strip_prefix(label.as_str())?.strip_prefix(",le=\"")?;
                Some((bound.strip_suffix('"')?.parse().ok()?, *value))
            })
            .collect();
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        // Buckets that nothing fell into are not kept.
        let mut known = buckets.iter().peekable();
        let mut below = 0;
        for bound in crate::totals::BUCKETS_MS.map(|ms| ms as f64 / 1000.0) {
            if let Some((_, value)) = known.next_if(|(of, _)| *of == bound) {
                below = *value;
            }
            sample(text, &bucket, &format!("{label},le=\"{bound}\""), below as f64)?;
        }
        sample(text, &bucket, &format!("{label},le=\"+Inf\""), *count as f64)?;
        let took = of("model_ms").find(|(_, of, _)| of == label).map_or(0, |(.., value)| *value);
        sample(text, &format!("{CALLS}_sum"), label, took as f64 / 1000.0)?;
        sample(text, &format!("{CALLS}_count"), label, *count as f64)?;
    }
    let mut before = "";
    for gauge in gauges {
        if gauge.name != before {
            head(text, gauge.name, "gauge", gauge.help)?;
            before = gauge.name;
        }
        let label: Vec<_> =
            gauge.label.iter().map(|(name, value)| (*name, value.as_str())).collect();
        sample(text, gauge.name, &written(&label), gauge.value)?;
    }
    Ok(())
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) -> std::fmt::Result {
    writeln!(text, "# HELP greenlit_{name} {help}\n# TYPE greenlit_{name} {kind}")
}

fn sample(text: &mut String, name: &str, label: &str, value: f64) -> std::fmt::Result {
    match label {
        "" => writeln!(text, "greenlit_{name} {value}"),
        _ => writeln!(text, "greenlit_{name}{{{label}}} {value}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_gauges_are_shown_with_their_kind_and_in_base_units() {
        let total = |name: &str, label: &str, value| (name.to_owned(), label.to_owned(), value);
        let model = "tier=\"small\",model=\"m\",adapter=\"\"";
        let totals = [
            total("applied", "tier=\"template\"", 2),
            total("model_ms", model, 1700),
            total("model_ms_bucket", &format!("{model},le=\"2.5\""), 2),
            total("model_ms_bucket", &format!("{model},le=\"0.5\""), 1),
            total("model_ms_count", model, 2),
            total("search_cpu_ms", "kind=\"tests\"", 1500),
        ];
        let gauge = Gauge { name: "up", help: "Runs.", label: Vec::new(), value: 1.0 };
        let text = exposition(&totals, &[gauge]);
        for line in [
            "# TYPE greenlit_fixes_applied_total counter",
            "greenlit_fixes_applied_total{tier=\"template\"} 2",
            "greenlit_search_cpu_seconds_total{kind=\"tests\"} 1.5",
            "# TYPE greenlit_model_call_seconds histogram",
            &format!("greenlit_model_call_seconds_bucket{{{model},le=\"0.25\"}} 0"),
            &format!("greenlit_model_call_seconds_bucket{{{model},le=\"1\"}} 1"),
            &format!("greenlit_model_call_seconds_bucket{{{model},le=\"2.5\"}} 2"),
            &format!("greenlit_model_call_seconds_bucket{{{model},le=\"+Inf\"}} 2"),
            &format!("greenlit_model_call_seconds_sum{{{model}}} 1.7"),
            "# TYPE greenlit_up gauge",
            "greenlit_up 1",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
        }
    }
}
