//! What a language table holds. Adding a language means one more value of [`Table`].

use crate::role::Role;

/// Everything that is particular to one language.
#[derive(Debug)]
pub struct Table {
    /// File extensions without the dot.
    pub extensions: &'static [&'static str],
    /// Node kinds of the grammar and what they mean, in groups that related grammars share; the
    /// first group that names a kind wins, kinds not listed are [`Role::Other`].
    pub roles: &'static [&'static [(&'static str, Role)]],
    /// Kinds whose role depends on more than the kind; the first rule that holds wins, else `roles`.
    pub refined: &'static [(&'static str, When, Role)],
    /// Names that mark a function as a test inside a source file: annotations without `@`, or
    /// macro-like names in place of its own.
    pub test_marks: &'static [&'static str],
    /// Field names of the object and the name of a member expression.
    pub member_fields: (&'static str, &'static str),
    /// Field name of the indexed object; `None` takes the first named child.
    pub index_object_field: Option<&'static str>,
    /// Fields of a `for` loop: target and source.
    pub for_fields: (&'static str, &'static str),
    /// Operators that compare, with those worth trying instead, best first.
    pub comparisons: &'static [(&'static str, &'static [&'static str])],
    /// Operators on numbers, with those worth trying instead, best first.
    pub arithmetic: &'static [(&'static str, &'static [&'static str])],
    /// How the language writes things.
    pub style: Style,
    /// Vocabulary of the language and its standard library.
    pub words: Words,
}

/// What decides the role of a node beyond its kind.
#[derive(Debug, Clone, Copy)]
pub enum When {
    /// It has a named child of this kind.
    Child(&'static str),
    /// It has exactly so many named children.
    Children(usize),
    /// The token in its field `operator` is this one.
    Operator(&'static str),
    /// The node in a field has this role.
    Field(&'static str, Role),
}

/// Which declared types have a value that means "nothing there".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// Those whose annotation says so: `T | null`, `Optional[T]`.
    Annotated,
    /// Those that begin with this: `Option<`.
    Wrapped(&'static str),
    /// All but primitive ones.
    References,
    /// Pointers and what is built on them; see the letter `o` in [`Words::types`].
    Pointers,
}

/// How a language writes its constructs.
#[derive(Debug)]
pub struct Style {
    /// Logical and.
    pub and: &'static str,
    /// Logical or.
    pub or: &'static str,
    /// Negation prefix, with a trailing blank where one is needed.
    pub not: &'static str,
    /// True and false.
    pub booleans: (&'static str, &'static str),
    /// The absent value; empty where the language has none.
    pub null: &'static str,
    /// `x is None` as prefix and suffix around the operand, and its negation's suffix.
    pub is_null: (&'static str, &'static str),
    /// The empty list.
    pub empty_list: &'static str,
    /// What ends a simple statement.
    pub terminator: &'static str,
    /// Text before and after the condition of an `if` that opens a block.
    pub if_open: (&'static str, &'static str),
    /// Text before and after the condition of a `while` that opens a block.
    pub while_open: (&'static str, &'static str),
    /// What closes a block on its own line; empty where indentation does.
    pub block_close: &'static str,
    /// `break` and `continue`, without terminator.
    pub jumps: (&'static str, &'static str),
    /// Length of a collection: text before and after its name. The first is taken unless the file
    /// itself writes another one for the name.
    pub lengths: &'static [(&'static str, &'static str)],
    /// Emptiness test: text before and after its name.
    pub is_empty: (&'static str, &'static str),
    /// Greater and smaller of two values: text before the first, between, after the second.
    pub maximum: (&'static str, &'static str, &'static str),
    /// See `maximum`.
    pub minimum: (&'static str, &'static str, &'static str),
    /// Whether operands must have known, equal types: candidates of doubtful type are not worth it.
    pub typed: bool,
    /// Whether a number of one type may stand where one of another type is expected.
    pub converts_numbers: bool,
    /// Whether a number without a suffix takes the type of what it is used with: `x + 1` for any `x`.
    pub literals_convert: bool,
    /// Whether a name that begins with a capital is that of a type, and not of a function.
    pub capitals_are_types: bool,
    /// Whether the last expression of a block is its value.
    pub tail_values: bool,
    /// Which declared types have a value that means "nothing there".
    pub absence: Absence,
    /// Whether a negative literal is worth a try where a positive one stands.
    pub negative_literals: bool,
    /// Whether `a[-1]` is the last element.
    pub negative_indices: bool,
    /// Whether methods reach fields and other methods of their class without a receiver.
    pub bare_members: bool,
    /// Literals worth a try where a value of a shape is wanted, by shape letter (see
    /// [`Words::types`], and `o` for what may be absent), with a weight in 0..=1.
    pub values: &'static [(char, &'static [(&'static str, f64)])],
    /// Whether `a < b < c` means what mathematics means.
    pub chains_comparisons: bool,
    /// Whether values of any type can be conditions.
    pub truthiness: bool,
    /// Drop elements at the start: text before the object, between object and count, after it.
    pub skip: (&'static str, &'static str, &'static str),
    /// Keep elements at the start, in the same form.
    pub take: (&'static str, &'static str, &'static str),
    /// Methods that add one element to a collection.
    pub adders: &'static [&'static str],
    /// The function of `xs = append(xs, x)`, where collections grow so.
    pub append: Option<&'static str>,
    /// How empty collections are created, with the method (or function) that fills such a one.
    pub empties: &'static [(&'static str, &'static str)],
    /// Empties a collection: text before and after its name; both empty where there is no such way.
    pub clear: (&'static str, &'static str),
    /// Operator of a membership test, where the language has one.
    pub membership: Option<&'static str>,
    /// Methods that test for membership.
    pub membership_methods: &'static [&'static str],
}

/// General vocabulary: names of built-ins, grouped by how they are confused.
#[derive(Debug)]
pub struct Words {
    /// Groups of functions and methods that take the same arguments.
    pub siblings: &'static [&'static [&'static str]],
    /// Functions that may be wrapped around a value: text before and after, and the shape letters
    /// of the values that they take (see `types`).
    pub wrappers: &'static [(&'static str, &'static str, &'static str)],
    /// Of those, the ones that make a whole number of a quotient.
    pub rounders: &'static [(&'static str, &'static str)],
    /// Names that are always in scope and need not be replaced by locals.
    pub builtins: &'static [&'static str],
    /// Functions and methods whose result is a number.
    pub numeric: &'static [&'static str],
    /// Functions and methods whose result is a truth value.
    pub predicates: &'static [&'static str],
    /// Functions and methods whose result is a collection.
    pub collections: &'static [&'static str],
    /// Type names and the shape letter they stand for: `n`umber, `c`ollection, `s`tring, `b`oolean,
    /// `o`bject that may be absent.
    pub types: &'static [(&'static str, char)],
    /// Names that by convention hold what may be absent: Go's `err`.
    pub absent: &'static [&'static str],
    /// Numeric types that are cast into each other, as in `(int) x`, `x as u64`, `float64(x)`.
    pub casts: &'static [&'static str],
}
