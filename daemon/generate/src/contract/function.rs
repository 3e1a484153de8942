//! Whole functions: which one is meant, and how its new text is fitted in.

use std::ops::Range;
use std::sync::Arc;

use greenlit_syntax::{FunctionItem, Language, Parsed, parse};

use super::{ContractError, shown};

/// Where the function stands and what stands there instead.
pub(super) fn replace(
    language: Language,
    text: &Arc<str>,
    symbol: Option<&str>,
    code: &str,
) -> Result<(Range<usize>, String), ContractError> {
    let missing = |name: &str| ContractError::NoFunction(shown(name));
    let file = parse(language, text.clone()).map_err(|_| missing(symbol.unwrap_or_default()))?;
    let code = dedented(code);
    let fragment = fragment(language, &code, symbol.map(last_name));
    let Some((fragment, new)) = fragment else {
        return Err(ContractError::NotTheFunction(shown(symbol.unwrap_or_default())));
    };
    let symbol = symbol.unwrap_or(&new.name);
    let old = find(&file, symbol, &new)?;
    let body = &fragment.text()[new.range.clone()];
    let from = indentation(fragment.text(), new.range.start);
    let to = indentation(text, old.range.start);
    Ok((old.range, shifted(body, from, to)))
}

/// Whether a file has a function that a reply without names may mean.
pub(super) fn may_mean(language: Language, text: &Arc<str>, code: &str) -> bool {
    let Ok(file) = parse(language, text.clone()) else { return false };
    fragment(language, &dedented(code), None)
        .is_some_and(|(_, new)| find(&file, &new.name, &new).is_ok())
}

/// `f` of `Class.f`, `module::f` and `(*T).f`.
fn last_name(symbol: &str) -> &str {
    let symbol = symbol.trim().trim_end_matches("()");
    symbol.rsplit(['.', ':', '#']).next().unwrap_or(symbol)
}

/// The class in front of the last name.
fn class_name(symbol: &str) -> Option<&str> {
    let name = last_name(symbol);
    let front = symbol.trim().trim_end_matches("()").strip_suffix(name)?;
    let front = front.trim_end_matches(['.', ':', '#', ')']);
    let class = front.rsplit(['.', ':', '(', '*', '#']).next().unwrap_or(front);
    (!class.is_empty()).then_some(class)
}

/// The code as a syntax tree, and the function in it that is meant: the one of that name, else the
/// only outermost one.
fn fragment(language: Language, code: &str, name: Option<&str>) -> Option<(Parsed, FunctionItem)> {
    // A method alone is none where methods only stand in classes.
    let wrapped = format!("class Greenlit {{\n{code}\n}}\n");
    for text in [code, &wrapped] {
        let Ok(parsed) = parse(language, Arc::from(text)) else { continue };
        if !parsed.error_offsets().is_empty() {
            continue;
        }
        let items = parsed.functions();
        let outermost = |item: &&FunctionItem| {
            let around = |other: &FunctionItem| {
                other.range != item.range
                    && other.range.start <= item.range.start
                    && item.range.end <= other.range.end
            };
            !items.iter().any(around)
        };
        let mut outer = items.iter().filter(outermost);
        let found = match name {
            Some(name) => outer.find(|item| item.name == name),
            None => match (outer.next(), outer.next()) {
                (Some(only), None) => Some(only),
                _ => None,
            },
        };
        if let Some(found) = found.cloned() {
            return Some((parsed, found));
        }
    }
    None
}

/// The function of the file that is meant. Where several have the name, class and then parameters
/// tell them apart.
fn find(file: &Parsed, symbol: &str, new: &FunctionItem) -> Result<FunctionItem, ContractError> {
    let name = last_name(symbol);
    let mut named: Vec<_> = file.functions().into_iter().filter(|f| f.name == name).collect();
    let class = class_name(symbol);
    for keep in [
        &|item: &FunctionItem| class.is_some() && item.class.as_deref() == class,
        &|item: &FunctionItem| item.parameters == new.parameters,
    ] as [&dyn Fn(&FunctionItem) -> bool; 2]
    {
        if named.len() > 1 && named.iter().any(keep) {
            named.retain(keep);
        }
    }
    match named.len() {
        0 => Err(ContractError::NoFunction(shown(symbol))),
        1 => Ok(named.remove(0)),
        _ => Err(ContractError::ManyFunctions(shown(symbol))),
    }
}

/// The blanks that the line of an offset begins with.
pub(super) fn indentation(text: &str, at: usize) -> &str {
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let line = &text[start..];
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

/// Lines with another indentation; the first one stands where the old first one stood.
pub(super) fn shifted(code: &str, from: &str, to: &str) -> String {
    let mut shifted = String::with_capacity(code.len());
    for (index, line) in code.split_inclusive('\n').enumerate() {
        match line.strip_prefix(from) {
            _ if index == 0 || line.trim().is_empty() => shifted.push_str(line),
            Some(rest) => {
                shifted.push_str(to);
                shifted.push_str(rest);
            }
            None => shifted.push_str(line),
        }
    }
    shifted
}

/// Without the blanks that all lines begin with.
pub(super) fn dedented(code: &str) -> String {
    let full = || code.lines().filter(|line| !line.trim().is_empty());
    let blanks = |line: &str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let least = full().map(blanks).min().unwrap_or(0);
    let same = full().next().map(|line| &line[..least]);
    if least == 0 || !full().all(|line| same.is_some_and(|same| line.starts_with(same))) {
        return code.to_owned();
    }
    code.split_inclusive('\n').map(|line| line.get(least..).unwrap_or("\n")).collect()
}
