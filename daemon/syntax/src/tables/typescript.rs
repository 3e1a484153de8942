//! TypeScript and TSX (tree-sitter-typescript 0.23): JavaScript's table with types.
//!
//! Types do not exist when a test runs, and most runners strip them unread. So TypeScript counts as
//! a language without types whose annotations are good guesses.

use super::javascript::{
    ARITHMETIC, COMPARISONS, FOR_FIELDS, MARKUP, MEMBER_FIELDS, ROLES, STYLE, WORDS,
};
use crate::role::Role;
use crate::table::{Table, Words};

pub(crate) static TYPESCRIPT: Table =
    Table { extensions: &["ts", "mts", "cts"], roles: &[ROLES, TYPES, ASSERTION], ..COMMON };

pub(crate) static TSX: Table =
    Table { extensions: &["tsx"], roles: &[ROLES, TYPES, MARKUP], ..COMMON };

const COMMON: Table = Table {
    extensions: &[],
    roles: &[],
    refined: &[],
    test_marks: &[],
    member_fields: MEMBER_FIELDS,
    index_object_field: Some("object"),
    for_fields: FOR_FIELDS,
    comparisons: COMPARISONS,
    arithmetic: ARITHMETIC,
    style: STYLE,
    words: Words {
        types: &[
            ("number", 'n'),
            ("bigint", 'n'),
            ("string", 's'),
            ("boolean", 'b'),
            ("Array", 'c'),
            ("ReadonlyArray", 'c'),
            ("Set", 'c'),
            ("ReadonlySet", 'c'),
            ("Map", 'c'),
            ("ReadonlyMap", 'c'),
            ("Record", 'c'),
            ("Iterable", 'c'),
        ],
        ..WORDS
    },
};

/// `<T>x`, which TSX reads as an element.
const ASSERTION: &[(&str, Role)] = &[("type_assertion", Role::Wrapper)];

const TYPES: &[(&str, Role)] = &[
    ("abstract_class_declaration", Role::Class),
    ("internal_module", Role::Module),
    ("module", Role::Module),
    ("import_alias", Role::Import),
    ("as_expression", Role::Wrapper),
    ("satisfies_expression", Role::Wrapper),
    ("non_null_expression", Role::Wrapper),
    ("interface_declaration", Role::Type),
    ("type_alias_declaration", Role::Type),
    ("ambient_declaration", Role::Type),
    ("function_signature", Role::Type),
    ("method_signature", Role::Type),
    ("abstract_method_signature", Role::Type),
    ("implements_clause", Role::Type),
    ("type_annotation", Role::Type),
    ("type_arguments", Role::Type),
    ("type_parameters", Role::Type),
    ("type_predicate_annotation", Role::Type),
    ("asserts_annotation", Role::Type),
    ("type_identifier", Role::Type),
    ("predefined_type", Role::Type),
    ("union_type", Role::Type),
    ("intersection_type", Role::Type),
    ("array_type", Role::Type),
    ("tuple_type", Role::Type),
    ("generic_type", Role::Type),
    ("function_type", Role::Type),
    ("constructor_type", Role::Type),
    ("literal_type", Role::Type),
    ("object_type", Role::Type),
    ("lookup_type", Role::Type),
    ("conditional_type", Role::Type),
    ("readonly_type", Role::Type),
    ("parenthesized_type", Role::Type),
    ("type_query", Role::Type),
    ("index_type_query", Role::Type),
    ("nested_type_identifier", Role::Type),
    ("template_literal_type", Role::Type),
];
