//! Language-neutral names for what a syntax node is.

/// What a node is, whatever its grammar calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Nothing that anybody asked about.
    Other,
    /// Only groups its children: they count as children of the node around it, and where one value
    /// is meant, it is its field `value` or its last child.
    Group,
    /// The whole file.
    Root,
    /// A sequence of statements.
    Block,
    /// A named function or method.
    Function,
    /// An anonymous function.
    Lambda,
    /// A class, `impl` or trait: what methods belong to.
    Class,
    /// A named module inside a file.
    Module,
    /// An import or `use`.
    Import,
    /// A comment.
    Comment,
    /// A decorator or attribute.
    Decorator,
    /// The parameter list of a function.
    Parameters,
    /// An expression used as a statement.
    ExpressionStatement,
    /// `return`.
    Return,
    /// `break`.
    Break,
    /// `continue`.
    Continue,
    /// A statement that does nothing.
    Pass,
    /// `if`.
    If,
    /// `elif` with its own condition.
    ElseIf,
    /// `else`.
    Else,
    /// A loop with a condition.
    While,
    /// A loop over something.
    For,
    /// A three-part counting loop.
    CountingFor,
    /// An endless loop with its own syntax.
    Loop,
    /// `match` or `switch`.
    Match,
    /// One arm of a `switch` that is a sequence of statements behind its labels.
    Arm,
    /// A label of an arm, where it is a node that is no field of the arm.
    Label,
    /// `try`.
    Try,
    /// `raise` or `throw`.
    Raise,
    /// An assertion statement.
    Assert,
    /// `let`, `const`, `var`: introduces names.
    Declaration,
    /// The name and value part of a declaration.
    Declarator,
    /// `a = b`.
    Assignment,
    /// `a += b`.
    AugmentedAssignment,
    /// `i++`.
    Update,
    /// An infix expression with one operator.
    Binary,
    /// A prefix expression.
    Unary,
    /// A call.
    Call,
    /// The arguments of a call.
    Arguments,
    /// `name=value` in a call.
    KeywordArgument,
    /// A macro call whose arguments are plain tokens.
    Macro,
    /// The plain tokens inside a macro call.
    Tokens,
    /// `a.b`.
    Member,
    /// `a[b]`.
    Index,
    /// `a:b` inside an index, `a..b`.
    Slice,
    /// `a[b:c]` where it is one node: the object, then its bounds.
    Subslice,
    /// `a if c else b`, `c ? a : b`.
    Ternary,
    /// `(a)`.
    Parenthesized,
    /// A list or array.
    List,
    /// A tuple, bare tuples included.
    Tuple,
    /// A dictionary or object.
    Mapping,
    /// A key and its value.
    Pair,
    /// A set.
    Set,
    /// A comprehension or generator expression.
    Comprehension,
    /// `for x in xs` inside a comprehension.
    ComprehensionFor,
    /// `if c` inside a comprehension.
    ComprehensionIf,
    /// A whole number.
    Integer,
    /// A number with a fraction.
    Float,
    /// A string or character.
    Text,
    /// `true` or `false`.
    Boolean,
    /// `None`, `null`, `undefined`.
    Null,
    /// A plain name.
    Identifier,
    /// The object that methods are called on: `self`, `this`.
    Receiver,
    /// A name after a dot.
    MemberName,
    /// A name behind a path: `a::b`.
    Path,
    /// `yield`.
    Yield,
    /// `await`.
    Await,
    /// `?`, `&x`, `x as T` and the like: an expression around another.
    Wrapper,
    /// A type.
    Type,
    /// A pattern or a target of an unpacking.
    Pattern,
    /// `*xs`, `...xs`.
    Spread,
    /// The tag of a markup element, with its name and attributes.
    Tag,
}

impl Role {
    /// Whether a node of this role has a value on its own.
    pub fn is_expression(self) -> bool {
        matches!(
            self,
            Role::Binary
                | Role::Unary
                | Role::Call
                | Role::Macro
                | Role::Member
                | Role::Index
                | Role::Subslice
                | Role::Ternary
                | Role::Parenthesized
                | Role::List
                | Role::Tuple
                | Role::Mapping
                | Role::Set
                | Role::Comprehension
                | Role::Integer
                | Role::Float
                | Role::Text
                | Role::Boolean
                | Role::Null
                | Role::Identifier
                | Role::Receiver
                | Role::Path
                | Role::Await
                | Role::Wrapper
                | Role::Lambda
        )
    }

    /// Whether a node of this role is a literal without parts.
    pub fn is_literal(self) -> bool {
        matches!(self, Role::Integer | Role::Float | Role::Text | Role::Boolean | Role::Null)
    }

    /// Whether a node of this role holds statements one after another.
    pub fn is_statement_list(self) -> bool {
        matches!(self, Role::Root | Role::Block | Role::Arm)
    }

    /// Whether the role is a loop.
    pub fn is_loop(self) -> bool {
        matches!(self, Role::While | Role::For | Role::CountingFor | Role::Loop)
    }

    /// Whether names bound inside stay inside.
    pub fn is_function_like(self) -> bool {
        matches!(self, Role::Function | Role::Lambda)
    }
}
