//! What is put before the code of a chunk when it is embedded, and what that costs.

use super::outline::Outline;

/// Of longer paths the innermost part is kept.
const MAX_PATH: usize = 120;

/// The costs of naming each symbol, in tokens.
#[derive(Debug)]
pub(super) struct Heads {
    /// Its path alone, and with its signature.
    costs: Vec<(usize, usize)>,
}

impl Heads {
    pub(super) fn of(outline: &Outline, count: &dyn Fn(&str) -> usize) -> Heads {
        let cost = |symbol: &super::Symbol| {
            let whole = count(&head(&symbol.path, None));
            (whole, count(&head(&symbol.path, Some(&symbol.signature))))
        };
        Heads { costs: outline.symbols.iter().map(cost).collect() }
    }

    /// What is left of a budget; at least half of it, whatever the name is.
    pub(super) fn allowance(&self, symbol: usize, continued: bool, budget: usize) -> usize {
        let (whole, cut_off) = self.costs[symbol];
        let cost = if continued { cut_off } else { whole };
        budget.saturating_sub(cost).max(budget.div_ceil(2))
    }
}

/// The lines before the code.
pub(super) fn head(path: &[String], signature: Option<&str>) -> String {
    let mut head = String::new();
    if !path.is_empty() {
        let path = path.join(" > ");
        let start = path.len().saturating_sub(MAX_PATH);
        let start = (start..=path.len()).find(|i| path.is_char_boundary(*i)).unwrap_or(0);
        head.push_str(&path[start..]);
        head.push('\n');
    }
    if let Some(signature) = signature {
        head.push_str(signature);
        head.push('\n');
    }
    head
}
