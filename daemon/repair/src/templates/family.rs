//! The template families and what is believed of each before anything is run.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::provenance::Provenance;

/// Declares the families with their names for the evidence and for `priors.toml`.
macro_rules! families {
    ($($family:ident = $rule:literal,)*) => {
        /// A kind of edit.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(super) enum Family {
            $($family,)*
        }

        const RULES: &[&str] = &[$($rule,)*];
    };
}

families! {
    Comparison = "comparison-operator",
    ComparisonAndBound = "comparison-and-bound",
    Arithmetic = "arithmetic-operator",
    AugmentedOperator = "augmented-operator",
    AssignmentKind = "assignment-kind",
    Connective = "boolean-connective",
    OffByOne = "off-by-one",
    Negate = "negate-condition",
    DropOperand = "drop-operand",
    DropClause = "drop-clause",
    Constant = "constant",
    BooleanLiteral = "boolean-literal",
    TextLiteral = "text-literal",
    Variable = "variable",
    MemberName = "member-name",
    FunctionName = "function-name",
    SwapArguments = "swap-arguments",
    SwapElements = "swap-elements",
    SwapOperands = "swap-operands",
    SwapBranches = "swap-branches",
    DropArgument = "drop-argument",
    AddArgument = "add-argument",
    ReturnValue = "return-value",
    WrapReturn = "wrap-return",
    EarlyReturn = "early-return",
    Guard = "guard",
    ConditionReplacement = "condition-replacement",
    ClauseAddition = "clause-addition",
    InsertAssignment = "insert-assignment",
    InsertUpdate = "insert-update",
    InsertAddition = "insert-addition",
    RemoveStatement = "remove-statement",
    MoveStatement = "move-statement",
    DonorStatement = "donor-statement",
    DonorExpression = "donor-expression",
    WrapCall = "wrap-call",
    UnwrapCall = "unwrap-call",
    Clamp = "clamp",
    LoopCondition = "loop-condition",
    Jump = "jump",
    IndexChange = "index-change",
    UnaryMinus = "unary-minus",
    Division = "division",
    YieldReturn = "yield-return",
    RecursionArgument = "recursion-argument",
    DefaultArgument = "default-argument",
    ChainedComparison = "chained-comparison",
    SliceInsertion = "slice-insertion",
    Power = "power",
    CallToAssignment = "call-to-assignment",
    AssignmentTarget = "assignment-target",
    ExtendExpression = "extend-expression",
    Type = "type",
    InsertReturn = "insert-return",
    MissingReturn = "missing-return",
    RangeGuard = "range-guard",
    BorrowedGuard = "borrowed-guard",
    BorrowedStatement = "borrowed-statement",
    BorrowedCondition = "borrowed-condition",
    BorrowedExpression = "borrowed-expression",
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(test), expect(dead_code, reason = "what only readers of the file and a test need"))]
struct Prior {
    /// In 0..=1.
    prior: f64,
    provenance: Provenance,
    note: Option<String>,
}

static PRIORS: LazyLock<Vec<f64>> = LazyLock::new(|| {
    let file = priors().expect("the test of this module reads the same file");
    RULES.iter().map(|rule| file.get(*rule).map_or(0.0, |entry| entry.prior)).collect()
});

fn priors() -> Result<BTreeMap<String, Prior>, toml::de::Error> {
    toml::from_str(include_str!("priors.toml"))
}

impl Family {
    /// Name for the evidence.
    pub(super) fn rule(self) -> &'static str {
        RULES[self as usize]
    }

    /// In 0..=1.
    pub(super) fn prior(self) -> f64 {
        PRIORS[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_family_has_one_prior_with_its_provenance_and_no_entry_is_left_over() {
        let file = priors().expect("the file can be read");
        let entries: BTreeSet<&str> = file.keys().map(String::as_str).collect();
        let rules: BTreeSet<&str> = RULES.iter().copied().collect();
        assert_eq!(rules.len(), RULES.len(), "names are unique");
        assert_eq!(entries, rules);
        for (rule, entry) in &file {
            assert!(entry.prior > 0.0 && entry.prior <= 1.0, "{rule}");
            // What was neither measured nor placed between measured families says why.
            assert!(entry.provenance != Provenance::Guess || entry.note.is_some(), "{rule}");
        }
        assert_eq!(file["comparison-operator"].provenance, Provenance::Survey);
        assert!((Family::Comparison.prior() - 0.66).abs() < 1e-9);
    }
}
