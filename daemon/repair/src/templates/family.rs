//! The template families and what is believed of each before anything is run.

/// A kind of edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Family {
    Comparison,
    ComparisonAndBound,
    Arithmetic,
    AugmentedOperator,
    AssignmentKind,
    Connective,
    OffByOne,
    Negate,
    DropOperand,
    DropClause,
    Constant,
    BooleanLiteral,
    TextLiteral,
    Variable,
    MemberName,
    FunctionName,
    SwapArguments,
    SwapElements,
    SwapOperands,
    SwapBranches,
    DropArgument,
    AddArgument,
    ReturnValue,
    WrapReturn,
    EarlyReturn,
    Guard,
    ConditionReplacement,
    ClauseAddition,
    InsertAssignment,
    InsertUpdate,
    InsertAddition,
    RemoveStatement,
    MoveStatement,
    DonorStatement,
    DonorExpression,
    WrapCall,
    UnwrapCall,
    Clamp,
    LoopCondition,
    Jump,
    IndexChange,
    UnaryMinus,
    Division,
    YieldReturn,
    RecursionArgument,
    DefaultArgument,
    ChainedComparison,
    SliceInsertion,
    Power,
    CallToAssignment,
    AssignmentTarget,
    ExtendExpression,
    Type,
    InsertReturn,
    RangeGuard,
    BorrowedGuard,
    BorrowedStatement,
    BorrowedCondition,
    BorrowedExpression,
}

/// Where a prior comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Provenance {
    /// Share of plausible patches that were right in the project's own survey of one-function bugs.
    Survey,
    /// Set by measurement on development faults after the survey.
    Development,
}

/// Name for the evidence, prior in 0..=1, and where the prior comes from.
type Row = (Family, &'static str, f64, Provenance);

/// One row per family. The survey's numbers are precisions (negate 92 %, drop operand 92 %,
/// ±1 83–89 %, variable 82 %, constant 76 %, comparison 66 %, arithmetic 59 %, donor expression
/// 55 %, early return 50 %, condition 40 %); families that produce many candidates per line were
/// lowered afterwards so that they do not crowd out those that produce few.
pub(super) const PRIORS: &[Row] = &[
    (Family::Comparison, "comparison-operator", 0.66, Provenance::Survey),
    (Family::ComparisonAndBound, "comparison-and-bound", 0.34, Provenance::Development),
    (Family::Arithmetic, "arithmetic-operator", 0.59, Provenance::Survey),
    (Family::AugmentedOperator, "augmented-operator", 0.68, Provenance::Development),
    (Family::AssignmentKind, "assignment-kind", 0.45, Provenance::Development),
    (Family::Connective, "boolean-connective", 0.70, Provenance::Development),
    (Family::OffByOne, "off-by-one", 0.66, Provenance::Development),
    (Family::Negate, "negate-condition", 0.70, Provenance::Development),
    (Family::DropOperand, "drop-operand", 0.72, Provenance::Development),
    (Family::DropClause, "drop-clause", 0.60, Provenance::Development),
    (Family::Constant, "constant", 0.56, Provenance::Development),
    (Family::BooleanLiteral, "boolean-literal", 0.60, Provenance::Development),
    (Family::TextLiteral, "text-literal", 0.40, Provenance::Development),
    (Family::Variable, "variable", 0.54, Provenance::Development),
    (Family::MemberName, "member-name", 0.62, Provenance::Development),
    (Family::FunctionName, "function-name", 0.64, Provenance::Development),
    (Family::SwapArguments, "swap-arguments", 0.64, Provenance::Development),
    (Family::SwapElements, "swap-elements", 0.60, Provenance::Development),
    (Family::SwapOperands, "swap-operands", 0.60, Provenance::Development),
    (Family::SwapBranches, "swap-branches", 0.50, Provenance::Development),
    (Family::DropArgument, "drop-argument", 0.35, Provenance::Development),
    (Family::AddArgument, "add-argument", 0.35, Provenance::Development),
    (Family::ReturnValue, "return-value", 0.44, Provenance::Development),
    (Family::WrapReturn, "wrap-return", 0.46, Provenance::Development),
    (Family::EarlyReturn, "early-return", 0.36, Provenance::Development),
    (Family::Guard, "guard", 0.36, Provenance::Development),
    (Family::ConditionReplacement, "condition-replacement", 0.36, Provenance::Development),
    (Family::ClauseAddition, "clause-addition", 0.48, Provenance::Development),
    (Family::InsertAssignment, "insert-assignment", 0.40, Provenance::Development),
    (Family::InsertUpdate, "insert-update", 0.40, Provenance::Development),
    (Family::InsertAddition, "insert-addition", 0.55, Provenance::Development),
    (Family::RemoveStatement, "remove-statement", 0.34, Provenance::Development),
    (Family::MoveStatement, "move-statement", 0.40, Provenance::Development),
    (Family::DonorStatement, "donor-statement", 0.34, Provenance::Development),
    (Family::DonorExpression, "donor-expression", 0.42, Provenance::Development),
    (Family::WrapCall, "wrap-call", 0.36, Provenance::Development),
    (Family::UnwrapCall, "unwrap-call", 0.55, Provenance::Development),
    (Family::Clamp, "clamp", 0.46, Provenance::Development),
    (Family::LoopCondition, "loop-condition", 0.55, Provenance::Development),
    (Family::Jump, "jump", 0.40, Provenance::Development),
    (Family::IndexChange, "index-change", 0.50, Provenance::Development),
    (Family::UnaryMinus, "unary-minus", 0.40, Provenance::Development),
    (Family::Division, "division", 0.62, Provenance::Development),
    (Family::YieldReturn, "yield-return", 0.55, Provenance::Development),
    (Family::RecursionArgument, "recursion-argument", 0.52, Provenance::Development),
    (Family::DefaultArgument, "default-argument", 0.45, Provenance::Development),
    (Family::ChainedComparison, "chained-comparison", 0.40, Provenance::Development),
    (Family::SliceInsertion, "slice-insertion", 0.46, Provenance::Development),
    (Family::Power, "power", 0.38, Provenance::Development),
    (Family::CallToAssignment, "call-to-assignment", 0.45, Provenance::Development),
    (Family::AssignmentTarget, "assignment-target", 0.50, Provenance::Development),
    (Family::ExtendExpression, "extend-expression", 0.40, Provenance::Development),
    (Family::Type, "type", 0.40, Provenance::Development),
    (Family::InsertReturn, "insert-return", 0.30, Provenance::Development),
    (Family::RangeGuard, "range-guard", 0.34, Provenance::Development),
    (Family::BorrowedGuard, "borrowed-guard", 0.30, Provenance::Development),
    (Family::BorrowedStatement, "borrowed-statement", 0.20, Provenance::Development),
    (Family::BorrowedCondition, "borrowed-condition", 0.22, Provenance::Development),
    (Family::BorrowedExpression, "borrowed-expression", 0.18, Provenance::Development),
];

impl Family {
    fn row(self) -> &'static Row {
        // The table is written in the order of the enum; a test holds it to that.
        &PRIORS[self as usize]
    }

    /// Name for the evidence.
    pub(super) fn rule(self) -> &'static str {
        self.row().1
    }

    /// In 0..=1.
    pub(super) fn prior(self) -> f64 {
        self.row().2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum_and_its_names_are_unique() {
        let mut rules = std::collections::BTreeSet::new();
        for (at, (family, rule, prior, _)) in PRIORS.iter().enumerate() {
            assert_eq!(*family as usize, at);
            assert!(rules.insert(rule));
            assert!((0.0..=1.0).contains(prior));
        }
        assert_eq!(PRIORS.len(), Family::BorrowedExpression as usize + 1);
    }
}
