//! Which nodes of each grammar define something, and which only stand around a definition.

use super::kind::{ChunkKind, SourceKind};
use crate::language::Language;

use ChunkKind::{Class, Enum, Function, Interface, Macro, Module, Type, Variable};

/// What the chunker must know of a grammar beyond the roles of its table.
#[derive(Debug)]
pub(super) struct Rules {
    /// Node kinds that define a name.
    pub(super) definitions: &'static [(&'static str, ChunkKind)],
    /// Kinds around a definition that belong to it: decorators, exports, declarations of several.
    pub(super) wrappers: &'static [&'static str],
    /// Kinds whose children count as those of the node around them.
    pub(super) bodies: &'static [&'static str],
    /// Kinds that stand before definitions and belong to them, beside comments and decorators.
    pub(super) leads: &'static [&'static str],
    /// Kinds that group definitions without a name and are always looked into.
    pub(super) transparent: &'static [&'static str],
}

pub(super) fn rules(kind: SourceKind) -> &'static Rules {
    match kind {
        SourceKind::Code(Language::Rust) => &RUST,
        SourceKind::Code(Language::Python) => &PYTHON,
        SourceKind::Code(Language::JavaScript | Language::TypeScript | Language::Tsx) => &SCRIPT,
        SourceKind::Code(Language::Go) => &GO,
        SourceKind::Code(Language::Java) => &JAVA,
        SourceKind::Code(Language::Cpp) => &CPP,
        SourceKind::Markdown | SourceKind::Text => &NONE,
    }
}

static RUST: Rules = Rules {
    definitions: &[
        ("mod_item", Module),
        ("impl_item", Class),
        ("struct_item", Class),
        ("union_item", Class),
        ("trait_item", Interface),
        ("enum_item", Enum),
        ("type_item", Type),
        ("associated_type", Type),
        ("function_item", Function),
        ("function_signature_item", Function),
        ("const_item", Variable),
        ("static_item", Variable),
        ("macro_definition", Macro),
    ],
    wrappers: &[],
    bodies: &[
        "block",
        "declaration_list",
        "enum_variant_list",
        "field_declaration_list",
        "match_block",
    ],
    leads: &[],
    transparent: &["foreign_mod_item"],
};

static PYTHON: Rules = Rules {
    definitions: &[
        ("class_definition", Class),
        ("function_definition", Function),
        ("assignment", Variable),
        ("type_alias_statement", Type),
    ],
    wrappers: &["decorated_definition", "expression_statement"],
    bodies: &["block"],
    leads: &[],
    transparent: &[],
};

static SCRIPT: Rules = Rules {
    definitions: &[
        ("function_declaration", Function),
        ("generator_function_declaration", Function),
        ("function_signature", Function),
        ("method_definition", Function),
        ("method_signature", Function),
        ("abstract_method_signature", Function),
        ("class_declaration", Class),
        ("abstract_class_declaration", Class),
        ("interface_declaration", Interface),
        ("enum_declaration", Enum),
        ("type_alias_declaration", Type),
        ("internal_module", Module),
        ("module", Module),
        ("variable_declarator", Variable),
        ("field_definition", Variable),
        ("public_field_definition", Variable),
        ("assignment_expression", Variable),
        ("pair", Variable),
    ],
    wrappers: &[
        "export_statement",
        "ambient_declaration",
        "expression_statement",
        "lexical_declaration",
        "variable_declaration",
    ],
    bodies: &[
        "statement_block",
        "class_body",
        "interface_body",
        "object_type",
        "enum_body",
        "switch_body",
    ],
    leads: &[],
    transparent: &[],
};

static GO: Rules = Rules {
    definitions: &[
        ("function_declaration", Function),
        ("method_declaration", Function),
        ("type_spec", Type),
        ("type_alias", Type),
        ("const_spec", Variable),
        ("var_spec", Variable),
    ],
    wrappers: &["type_declaration", "const_declaration", "var_declaration", "var_spec_list"],
    bodies: &["block", "statement_list", "var_spec_list", "field_declaration_list"],
    leads: &[],
    transparent: &[],
};

static JAVA: Rules = Rules {
    definitions: &[
        ("class_declaration", Class),
        ("record_declaration", Class),
        ("interface_declaration", Interface),
        ("annotation_type_declaration", Interface),
        ("enum_declaration", Enum),
        ("method_declaration", Function),
        ("constructor_declaration", Function),
        ("compact_constructor_declaration", Function),
        ("variable_declarator", Variable),
    ],
    wrappers: &["field_declaration", "constant_declaration"],
    bodies: &[
        "block",
        "class_body",
        "interface_body",
        "enum_body",
        "enum_body_declarations",
        "constructor_body",
        "annotation_type_body",
        "switch_block",
    ],
    leads: &[],
    transparent: &[],
};

static CPP: Rules = Rules {
    definitions: &[
        ("namespace_definition", Module),
        ("class_specifier", Class),
        ("struct_specifier", Class),
        ("union_specifier", Class),
        ("concept_definition", Interface),
        ("enum_specifier", Enum),
        ("type_definition", Type),
        ("alias_declaration", Type),
        ("function_definition", Function),
        ("declaration", Variable),
        ("field_declaration", Variable),
        ("preproc_def", Macro),
        ("preproc_function_def", Macro),
    ],
    wrappers: &["template_declaration"],
    bodies: &[
        "compound_statement",
        "declaration_list",
        "field_declaration_list",
        "enumerator_list",
    ],
    leads: &["access_specifier"],
    transparent: &[
        "linkage_specification",
        "preproc_if",
        "preproc_ifdef",
        "preproc_elif",
        "preproc_else",
    ],
};

/// Sections are read by `markdown.rs`.
static NONE: Rules =
    Rules { definitions: &[], wrappers: &[], bodies: &[], leads: &[], transparent: &[] };
