//! Compares orders of the fixes that benchmarks recorded: how often the first one would be right.
//!
//! `cargo run -p greenlit-benches --example orders -- FILE…` with files that `injected --json` and
//! `quixbugs --json` wrote. Only faults with a right and a wrong fix on offer can tell orders apart;
//! packages for evaluation are left out, because weights are chosen by this. What the product dropped
//! or never verified is not in the files.
#![expect(clippy::print_stdout, reason = "it reports")]

use anyhow::{Context, Result};
use greenlit_benches::features::Features;
use serde::Deserialize;
use serde_json::Value;

/// The offered fixes of one fault.
#[derive(Debug, Deserialize)]
struct Case {
    right: Vec<bool>,
    #[serde(default)]
    features: Vec<Features>,
}

/// See `ranking/weights.toml` of greenlit-repair.
struct Order {
    name: &'static str,
    score: f64,
    naturalness: f64,
    agreement: f64,
    size: f64,
    shortcut: f64,
}

const PLAIN: Order =
    Order { name: "score", score: 1.0, naturalness: 0.0, agreement: 0.0, size: 0.0, shortcut: 0.0 };

const ORDERS: &[Order] = &[
    PLAIN,
    Order { name: "score, naturalness 0.15", naturalness: 0.15, ..PLAIN },
    Order { name: "score, naturalness 0.4", naturalness: 0.4, ..PLAIN },
    Order { name: "score, agreement 0.06", agreement: 0.06, ..PLAIN },
    Order { name: "score, both", naturalness: 0.15, agreement: 0.06, ..PLAIN },
    Order { name: "score, agreement 0.12", agreement: 0.12, ..PLAIN },
    Order { name: "score, agreement 0.2", agreement: 0.2, ..PLAIN },
    Order { name: "largest group first", agreement: 100.0, ..PLAIN },
    Order { name: "smallest edit first", size: 100.0, ..PLAIN },
    Order { name: "score, shortcut 0.1", shortcut: 0.1, ..PLAIN },
    Order { name: "all", naturalness: 0.15, agreement: 0.06, shortcut: 0.1, ..PLAIN },
    Order { name: "naturalness alone", score: 0.0, naturalness: 1.0, ..PLAIN },
];

impl Order {
    fn merit(&self, fix: &Features) -> f64 {
        let natural = self.naturalness * fix.naturalness.tanh();
        let own = if self.score > 0.0 { fix.score * (1.0 + natural) } else { natural };
        own + self.agreement * f64::from(fix.alike.max(1)).log2()
            - self.size * f64::from(fix.removed + fix.added)
            - self.shortcut * f64::from(u8::from(fix.shortcut))
    }

    /// Whether the first fix is right; those that mend more come first, as in the product.
    fn first_is_right(&self, case: &Case) -> bool {
        // The last of equals is taken: the order of the file, which is the product's, decides.
        let fixes = case.features.iter().zip(&case.right).rev();
        let best = fixes.max_by(|(a, _), (b, _)| {
            a.mends.cmp(&b.mends).then(self.merit(a).total_cmp(&self.merit(b)))
        });
        best.is_some_and(|(_, right)| *right)
    }
}

fn main() -> Result<()> {
    greenlit_benches::enter()?;
    let mut cases = Vec::new();
    for path in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        read(&text, &mut cases).with_context(|| format!("{path} holds other results"))?;
    }
    cases.retain(|case| !case.right.is_empty() && case.right.len() == case.features.len());
    let telling: Vec<&Case> =
        cases.iter().filter(|c| c.right.contains(&true) && c.right.contains(&false)).collect();
    println!(
        "{} faults with a fix on offer, {} that tell orders apart",
        cases.len(),
        telling.len()
    );
    for order in ORDERS {
        let first = telling.iter().filter(|case| order.first_is_right(case)).count();
        println!("{:28} first right {first:3}", order.name);
    }
    Ok(())
}

/// One JSON object of `quixbugs`, or the JSON lines of `injected`.
fn read(text: &str, cases: &mut Vec<Case>) -> Result<()> {
    if let Ok(whole) = serde_json::from_str::<Value>(text)
        && let Some(programs) = whole.get("programs")
    {
        cases.extend(Vec::<Case>::deserialize(programs)?);
        return Ok(());
    }
    for line in text.lines() {
        let record: Value = serde_json::from_str(line)?;
        if record["kind"] == "fault"
            && record["role"] == "development"
            && !record["measured"].is_null()
        {
            cases.push(Case::deserialize(&record["measured"])?);
        }
    }
    Ok(())
}
