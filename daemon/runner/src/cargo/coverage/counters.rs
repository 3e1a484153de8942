//! Puts a counter in front of each statement, without adding a line.

use std::collections::BTreeSet;

use tree_sitter::Node;

use crate::cargo::source::{attributes, functions, is_const, parse, path_up};

/// Names the file that a test process appends to: `FILE COUNTER`, once for each counter.
pub(super) const VARIABLE: &str = "GREENLIT_LINES";

const MODULE: &str = "greenlit_lines";

/// Written at once, so that a test that hangs or crashes leaves what it reached.
const RUNTIME: &str = "
#[doc(hidden)]
mod greenlit_lines {
    #[allow(unused_extern_crates)]
    extern crate std as greenlit_std;
    use self::greenlit_std::env;
    use self::greenlit_std::format;
    use self::greenlit_std::fs::{File, OpenOptions};
    use self::greenlit_std::io::Write;
    use self::greenlit_std::sync::OnceLock;
    use self::greenlit_std::sync::atomic::{AtomicBool, Ordering};
    const UNSEEN: AtomicBool = AtomicBool::new(false);
    static SEEN: [AtomicBool; COUNT] = [UNSEEN; COUNT];
    static FILE: OnceLock<Option<File>> = OnceLock::new();
    pub(super) fn hit(counter: usize) {
        if SEEN[counter].load(Ordering::Relaxed) || SEEN[counter].swap(true, Ordering::Relaxed) {
            return;
        }
        let file = FILE.get_or_init(|| {
            env::var_os(\"GREENLIT_LINES\")
                .and_then(|path| OpenOptions::new().append(true).create(true).open(path).ok())
        });
        if let Some(mut file) = file.as_ref() {
            drop(file.write_all(format!(\"INDEX {}\\n\", counter).as_bytes()));
        }
    }
}
";

/// A file with counters.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) text: String,
    /// The 1-based lines that each counter stands for.
    pub(super) lines: Vec<BTreeSet<u32>>,
}

/// `None` when the text does not parse, or holds nothing to count. `index` is the file's number
/// in what test processes write.
pub(super) fn counted(text: &str, index: usize) -> Option<Counted> {
    let tree = parse(text)?;
    let mut writer = Writer { text, call: String::new(), inserts: Vec::new(), lines: Vec::new() };
    for function in functions(&tree, text) {
        let naked = attributes(function.node).iter().any(|a| writer.of(*a).contains("naked"));
        if !naked && !is_const(function.node, text) {
            writer.call = format!("{}::hit", path_up(function.depth, MODULE));
            writer.block(function.body);
        }
    }
    if writer.lines.is_empty() {
        return None;
    }
    let runtime = RUNTIME
        .replace("COUNT", &writer.lines.len().to_string())
        .replace("INDEX", &index.to_string());
    // At one offset, what ends there is closed before the next is opened.
    writer.inserts.sort_by_key(|insert| (insert.at, insert.opens));
    let mut counted = String::with_capacity(text.len() * 2 + runtime.len());
    let mut at = 0;
    for insert in &writer.inserts {
        counted.push_str(&text[at..insert.at]);
        counted.push_str(&insert.text);
        at = insert.at;
    }
    counted.push_str(&text[at..]);
    counted.push_str(&runtime);
    Some(Counted { text: counted, lines: writer.lines })
}

struct Insert {
    at: usize,
    opens: bool,
    text: String,
}

struct Writer<'t> {
    text: &'t str,
    /// Path of the function that counts, as seen from where the walk is.
    call: String,
    inserts: Vec<Insert>,
    lines: Vec<BTreeSet<u32>>,
}

impl<'t> Writer<'t> {
    fn of(&self, node: Node<'_>) -> &'t str {
        &self.text[node.byte_range()]
    }

    /// A new counter, and the statement that counts.
    fn counter(&mut self) -> (usize, String) {
        let counter = self.lines.len();
        self.lines.push(BTreeSet::new());
        (counter, format!("{}({counter}); ", self.call))
    }

    fn insert(&mut self, at: usize, opens: bool, text: String) {
        self.inserts.push(Insert { at, opens, text });
    }

    fn add_line(&mut self, counter: usize, node: Node<'_>) {
        let line = u32::try_from(node.start_position().row + 1).unwrap_or(u32::MAX);
        self.lines[counter].insert(line);
    }

    /// Counts each statement of a block.
    fn block(&mut self, block: Node<'_>) {
        let mut cursor = block.walk();
        let children: Vec<Node<'_>> = block.named_children(&mut cursor).collect();
        if children.is_empty() {
            let (counter, call) = self.counter();
            self.insert(block.start_byte() + 1, true, call);
            self.add_line(counter, block);
        }
        for child in children {
            match child.kind() {
                "function_item" => {
                    let body = child.child_by_field_name("body");
                    if let Some(body) = body.filter(|_| !is_const(child, self.text)) {
                        self.block(body);
                    }
                }
                // Items are no statements, and what is in them cannot count: a constant is
                // computed by the compiler, a module has other paths.
                kind if kind.ends_with("_item")
                    || kind.ends_with("_comment")
                    || kind.ends_with("_definition")
                    || [
                        "use_declaration",
                        "extern_crate_declaration",
                        "empty_statement",
                        "label",
                    ]
                    .contains(&kind) => {}
                _ => self.statement(child),
            }
        }
    }

    fn statement(&mut self, statement: Node<'_>) {
        let (counter, call) = self.counter();
        let attributes = attributes(statement);
        let at = attributes.first().map_or(statement.start_byte(), Node::start_byte);
        // What is compiled only sometimes is counted only then.
        let conditions: String = attributes
            .iter()
            .map(|attribute| self.of(*attribute))
            .filter(|text| text.trim_start_matches("#[").trim_start().starts_with("cfg"))
            .map(|text| format!("{text} "))
            .collect();
        if !conditions.contains('\n') {
            self.insert(at, true, format!("{conditions}{call}"));
        }
        self.add_line(counter, statement);
        self.cover(statement, counter);
    }

    /// Gives the lines of an expression to a counter, except those of blocks, arms and closures
    /// inside it, which count for themselves.
    fn cover(&mut self, node: Node<'_>, counter: usize) {
        match node.kind() {
            "block" => self.block(node),
            "token_tree" | "type_arguments" | "array_type" | "const_block" => {
                self.leaves(node, counter);
            }
            "line_comment" | "block_comment" | "attribute_item" => {}
            "closure_expression" => {
                let body = node.child_by_field_name("body");
                let mut cursor = node.walk();
                for child in node.children(&mut cursor) {
                    match body == Some(child) {
                        true => {
                            self.branch(child, counter);
                        }
                        false => self.leaves(child, counter),
                    }
                }
            }
            "match_arm" => self.arm(node, counter),
            "else_clause" => {
                let mut cursor = node.walk();
                for child in node.named_children(&mut cursor) {
                    self.branch(child, counter);
                }
            }
            "array_expression" => {
                let length = node.child_by_field_name("length");
                let mut cursor = node.walk();
                for child in node.children(&mut cursor) {
                    match length == Some(child) {
                        true => self.leaves(child, counter),
                        false => self.cover(child, counter),
                    }
                }
            }
            _ if node.child_count() == 0 => {
                if node.is_named() {
                    self.add_line(counter, node);
                }
            }
            _ => {
                let mut cursor = node.walk();
                for child in node.children(&mut cursor) {
                    self.cover(child, counter);
                }
            }
        }
    }

    /// An expression that runs only sometimes: counted for itself, or with what is around it
    /// where a counter cannot stand before it.
    fn branch(&mut self, expression: Node<'_>, around: usize) -> usize {
        if expression.kind() == "block" {
            self.block(expression);
            return around;
        }
        if expression.kind().ends_with("_comment") || !can_be_wrapped(expression) {
            self.cover(expression, around);
            return around;
        }
        let (counter, call) = self.counter();
        self.insert(expression.start_byte(), true, format!("{{ {call}"));
        self.insert(expression.end_byte(), false, " }".to_owned());
        self.add_line(counter, expression);
        self.cover(expression, counter);
        counter
    }

    /// Guards and literals are looked at whether or not the arm is taken; names belong to the arm.
    fn arm(&mut self, arm: Node<'_>, around: usize) {
        let (Some(pattern), Some(value)) =
            (arm.child_by_field_name("pattern"), arm.child_by_field_name("value"))
        else {
            return;
        };
        let own = if value.kind() == "block" {
            let (counter, call) = self.counter();
            let first = value.named_child(0).map(|child| child.kind());
            if first != Some("inner_attribute_item") {
                self.insert(value.start_byte() + 1, true, format!(" {call}"));
            }
            self.block(value);
            counter
        } else {
            self.branch(value, around)
        };
        let guard = pattern.child_by_field_name("condition");
        let mut cursor = pattern.walk();
        for child in pattern.children(&mut cursor) {
            match guard == Some(child) {
                true => self.cover(child, around),
                false => self.pattern(child, own, around),
            }
        }
    }

    fn pattern(&mut self, node: Node<'_>, own: usize, around: usize) {
        if node.child_count() == 0 || node.kind().ends_with("_literal") {
            if node.is_named() {
                let literal = node.kind().ends_with("_literal");
                self.add_line(if literal { around } else { own }, node);
            }
            return;
        }
        let mut cursor = node.walk();
        for child in node.children(&mut cursor) {
            self.pattern(child, own, around);
        }
    }

    fn leaves(&mut self, node: Node<'_>, counter: usize) {
        if node.child_count() == 0 {
            if node.is_named() {
                self.add_line(counter, node);
            }
            return;
        }
        let mut cursor = node.walk();
        for child in node.children(&mut cursor) {
            self.leaves(child, counter);
        }
    }
}

/// Whether an expression means the same at the start of a statement: one that begins with a block
/// would end there, `{ count(); match x {} + 1 }`.
fn can_be_wrapped(expression: Node<'_>) -> bool {
    let block_like = |node: Node<'_>| {
        let kind = node.kind();
        kind == "block"
            || kind.ends_with("_block")
            || kind == "macro_invocation"
            || ["if", "match", "while", "loop", "for"]
                .iter()
                .any(|word| kind.strip_prefix(word) == Some("_expression"))
    };
    if block_like(expression) {
        return true;
    }
    let mut first = expression.child(0);
    while let Some(node) = first {
        if block_like(node) {
            return false;
        }
        first = node.child(0);
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "\
pub async fn f(a: u32) -> u32 {
    #[cfg(x)]
    let y = 1;
    let z = match a {
        1 => 5,
        B { x, y: 3 } if a > 2 => foo(|q| q + 1),
        C => match a {}.len(),
        D => {
            3
        }
    };
    if a > 1 {
        a
    } else if let Some(x) = b {
        1
    } else {
    };
    println!(
        \"{}\",
        a
    );
    vec![1]
        .collect::<Foo<{ N }>>();
}
const fn g() -> u32 {
    1
}
mod m {
    fn h() {}
    #[test]
    fn t() {
        h();
    }
}
";

    #[test]
    fn counters_stand_before_statements_and_branches() {
        let counted = counted(TEXT, 3).unwrap();
        let (code, runtime) = counted.text.split_once("\n#[doc(hidden)]").unwrap();
        let code = code.replace("greenlit_lines::hit", "hit").replace("; \n", ";\n");
        insta::assert_snapshot!(code, @r#"
        pub async fn f(a: u32) -> u32 {
            #[cfg(x)] hit(0); #[cfg(x)]
            let y = 1;
            hit(1); let z = match a {
                1 => { hit(2); 5 },
                B { x, y: 3 } if a > 2 => { hit(3); foo(|q| { hit(4); q + 1 }) },
                C => match a {}.len(),
                D => { hit(5);
                    hit(6); 3
                }
            };
            hit(7); if a > 1 {
                hit(8); a
            } else { hit(9); if let Some(x) = b {
                hit(10); 1
            } else {hit(11);
            } };
            hit(12); println!(
                "{}",
                a
            );
            hit(13); vec![1]
                .collect::<Foo<{ N }>>();
        }
        const fn g() -> u32 {
            1
        }
        mod m {
            fn h() {super::hit(14); }
            #[test]
            fn t() {
                h();
            }
        }
        "#);
        assert!(runtime.contains("\"3 {}\\n\"") && runtime.contains("[UNSEEN; 15]"), "{runtime}");
        let lines: Vec<String> = counted.lines.iter().map(|lines| format!("{lines:?}")).collect();
        insta::assert_snapshot!(lines.join(" "), @"{3} {4, 5, 6, 7} {5} {6} {6} {8} {9} {12} {13} {14} {15} {16} {18, 19, 20} {22, 23} {29}");
    }

    #[test]
    fn names_agree() {
        assert!(RUNTIME.contains(MODULE) && RUNTIME.contains(VARIABLE));
    }

    proptest! {
        #[test]
        fn lines_stay_where_they_are(
            at in 0..TEXT.len(), length in 0usize..20, insert in "[a-z{}()|=> \n;]{0,6}"
        ) {
            let end = (at + length).min(TEXT.len());
            let text = format!("{}{insert}{}", &TEXT[..at], &TEXT[end..]);
            if let Some(counted) = counted(&text, 0) {
                let code = counted.text.split_once("\n#[doc(hidden)]").unwrap().0;
                prop_assert_eq!(code.lines().count(), text.lines().count());
                let last = u32::try_from(text.lines().count()).unwrap();
                prop_assert!(counted.lines.iter().flatten().all(|line| (1..=last).contains(line)));
            }
        }
    }
}
