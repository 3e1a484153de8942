//! What a file is to the chunker, and what a chunk is to a reader.

use std::path::Path;

use crate::language::Language;

/// How a text is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourceKind {
    /// Along the syntax tree of a programming language. C is read by the grammar of C++.
    Code(Language),
    /// By headings.
    Markdown,
    /// By paragraphs.
    Text,
}

/// Extensions of files that are read as prose or as configuration, by paragraphs.
const TEXT: &[&str] = &[
    "adoc",
    "bash",
    "bat",
    "cfg",
    "cmake",
    "conf",
    "css",
    "dockerfile",
    "env",
    "fish",
    "gradle",
    "graphql",
    "html",
    "ini",
    "json",
    "json5",
    "just",
    "kt",
    "kts",
    "less",
    "lua",
    "mk",
    "nix",
    "org",
    "php",
    "pl",
    "proto",
    "properties",
    "ps1",
    "r",
    "rb",
    "rst",
    "scala",
    "scss",
    "sh",
    "sql",
    "svelte",
    "swift",
    "tex",
    "tf",
    "toml",
    "txt",
    "vim",
    "vue",
    "xml",
    "yaml",
    "yml",
    "zig",
    "zsh",
];

/// Names without a telling extension that are read as text.
const NAMES: &[&str] = &[
    "AUTHORS",
    "BUILD",
    "Brewfile",
    "CHANGELOG",
    "CHANGES",
    "CMakeLists.txt",
    "CONTRIBUTING",
    "Containerfile",
    "Dockerfile",
    "Gemfile",
    "HISTORY",
    "INSTALL",
    "Jenkinsfile",
    "Justfile",
    "LICENSE",
    "Makefile",
    "NEWS",
    "NOTICE",
    "Pipfile",
    "Procfile",
    "README",
    "Rakefile",
    "TODO",
    "Vagrantfile",
    "justfile",
    "makefile",
];

impl SourceKind {
    /// By the name of the file; `None` is a kind of file that is not indexed.
    pub fn from_path(path: &Path) -> Option<SourceKind> {
        if let Some(language) = Language::from_path(path) {
            return Some(SourceKind::Code(language));
        }
        let name = path.file_name()?.to_str()?;
        let extension = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
        match extension.as_deref() {
            Some("md" | "markdown" | "mdx") => Some(SourceKind::Markdown),
            Some("pyi") => Some(SourceKind::Code(Language::Python)),
            Some(extension) if TEXT.contains(&extension) => Some(SourceKind::Text),
            _ if NAMES.contains(&name) => Some(SourceKind::Text),
            _ => None,
        }
    }
}

/// What a chunk or a definition is, whatever its language calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChunkKind {
    /// A module or namespace.
    Module,
    /// A class, struct, record, union or `impl`.
    Class,
    /// An interface, trait or protocol.
    Interface,
    /// An enumeration.
    Enum,
    /// Another named type.
    Type,
    /// A free function.
    Function,
    /// A function of a class.
    Method,
    /// A constant, variable or field.
    Variable,
    /// A macro.
    Macro,
    /// A section of a document.
    Section,
    /// Imports and nothing else.
    Import,
    /// Several small definitions, or statements outside of definitions.
    Code,
    /// Prose outside of sections, and all of a text that has no syntax tree.
    Text,
}

impl ChunkKind {
    /// Every kind.
    pub const ALL: [ChunkKind; 13] = [
        ChunkKind::Module,
        ChunkKind::Class,
        ChunkKind::Interface,
        ChunkKind::Enum,
        ChunkKind::Type,
        ChunkKind::Function,
        ChunkKind::Method,
        ChunkKind::Variable,
        ChunkKind::Macro,
        ChunkKind::Section,
        ChunkKind::Import,
        ChunkKind::Code,
        ChunkKind::Text,
    ];

    /// Its name in filters and on the wire.
    pub fn name(self) -> &'static str {
        match self {
            ChunkKind::Module => "module",
            ChunkKind::Class => "class",
            ChunkKind::Interface => "interface",
            ChunkKind::Enum => "enum",
            ChunkKind::Type => "type",
            ChunkKind::Function => "function",
            ChunkKind::Method => "method",
            ChunkKind::Variable => "variable",
            ChunkKind::Macro => "macro",
            ChunkKind::Section => "section",
            ChunkKind::Import => "import",
            ChunkKind::Code => "code",
            ChunkKind::Text => "text",
        }
    }

    /// Whether definitions inside belong to it rather than to its body.
    pub(super) fn holds_members(self) -> bool {
        matches!(
            self,
            ChunkKind::Module
                | ChunkKind::Class
                | ChunkKind::Interface
                | ChunkKind::Enum
                | ChunkKind::Section
        )
    }

    /// Whether what is named inside is local to it.
    pub(super) fn is_callable(self) -> bool {
        matches!(self, ChunkKind::Function | ChunkKind::Method)
    }
}
