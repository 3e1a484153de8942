//! Which names stand for what, per language.

use std::collections::HashMap;
use std::sync::OnceLock;

use greenlit_syntax::Language;

use super::compiled;

/// What a newly introduced name is refused for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Exit,
    Equality,
    TestAwareness,
    MonkeyPatch,
    DynamicCode,
    OutsideAccess,
    Unsafe,
}

pub(super) type Words = &'static [(Kind, &'static [&'static str])];
type Lookup = HashMap<&'static str, Vec<Kind>>;

/// Names refused wherever they stand, unless the file itself binds them.
pub(super) fn names(language: Language) -> &'static Lookup {
    static LOOKUPS: [OnceLock<Lookup>; Language::ALL.len()] =
        [const { OnceLock::new() }; Language::ALL.len()];
    LOOKUPS[language as usize].get_or_init(|| {
        lookup(match language {
            Language::Python => PYTHON,
            Language::JavaScript | Language::TypeScript | Language::Tsx => JAVASCRIPT,
            Language::Go => compiled::GO,
            Language::Java => compiled::JAVA,
            Language::Cpp => compiled::CPP,
            Language::Rust => RUST,
        })
    })
}

/// Names refused after a dot or `::`, whatever stands before.
pub(super) fn members(language: Language) -> &'static Lookup {
    static LOOKUPS: [OnceLock<Lookup>; Language::ALL.len()] =
        [const { OnceLock::new() }; Language::ALL.len()];
    LOOKUPS[language as usize].get_or_init(|| {
        lookup(match language {
            Language::Python => PYTHON_MEMBERS,
            Language::JavaScript | Language::TypeScript | Language::Tsx => JAVASCRIPT_MEMBERS,
            Language::Go => compiled::GO_MEMBERS,
            Language::Java => compiled::JAVA_MEMBERS,
            Language::Cpp => compiled::CPP_MEMBERS,
            Language::Rust => RUST_MEMBERS,
        })
    })
}

fn lookup(words: Words) -> Lookup {
    let mut found = Lookup::new();
    for (kind, names) in words {
        for name in *names {
            found.entry(*name).or_default().push(*kind);
        }
    }
    found
}

/// Words refused inside strings.
pub(super) const STRINGS: &[&str] = &[
    "PYTEST_CURRENT_TEST",
    "PYTEST_VERSION",
    "NODE_TEST_CONTEXT",
    "JEST_WORKER_ID",
    "VITEST",
    "NEXTEST",
    "RUST_TEST_THREADS",
    "CARGO_TARGET_TMPDIR",
    "node:test",
    "node:assert",
];

/// The byte with which `go test -json` marks its own lines, as it is and as literals write it: who
/// prints it can forge a test's end.
pub(super) const GO_MARKERS: &[&str] = &["\x16", "\\x16", "\\026", "\\u0016", "\\U00000016"];

/// Remarks that silence tools.
pub(super) const SUPPRESSIONS: &[&str] = &[
    "type: ignore",
    "noqa",
    "pylint: disable",
    "pragma: no cover",
    "pyright: ignore",
    "nosec",
    "eslint-disable",
    "@ts-ignore",
    "@ts-nocheck",
    "@ts-expect-error",
    "istanbul ignore",
    "c8 ignore",
    "v8 ignore",
];

const PYTHON: Words = &[
    (
        Kind::Exit,
        &[
            "exit",
            "quit",
            "_exit",
            "abort",
            "SystemExit",
            "KeyboardInterrupt",
            "atexit",
            "signal",
            "faulthandler",
        ],
    ),
    (
        Kind::Equality,
        &[
            "__eq__",
            "__ne__",
            "__lt__",
            "__le__",
            "__gt__",
            "__ge__",
            "__bool__",
            "__hash__",
            "__len__",
            "__contains__",
            "__instancecheck__",
            "__subclasscheck__",
            "__class__",
            "__getattr__",
            "__getattribute__",
            "__iter__",
            "__float__",
            "__int__",
            "__index__",
            "__nonzero__",
            "__cmp__",
            "__new__",
            "__call__",
            "__missing__",
            "__radd__",
            "__sub__",
            "__rsub__",
            "__abs__",
            "__round__",
            "ANY",
        ],
    ),
    (
        Kind::TestAwareness,
        &[
            "pytest",
            "_pytest",
            "unittest",
            "doctest",
            "nose",
            "hypothesis",
            "mock",
            "Mock",
            "MagicMock",
            "SkipTest",
            "skipTest",
            "xfail",
            "conftest",
            "inspect",
            "traceback",
            "_getframe",
            "__file__",
            "argv",
            "_called_from_test",
        ],
    ),
    (
        Kind::MonkeyPatch,
        &[
            "builtins",
            "__builtins__",
            "modules",
            "setattr",
            "delattr",
            "globals",
            "locals",
            "__dict__",
            "__setattr__",
            "settrace",
            "setprofile",
            "excepthook",
            "gc",
            "ctypes",
            "meta_path",
            "path_hooks",
            "monkeypatch",
            "warnings",
            "setrecursionlimit",
        ],
    ),
    (
        Kind::DynamicCode,
        &[
            "eval",
            "exec",
            "compile",
            "__import__",
            "importlib",
            "runpy",
            "pickle",
            "marshal",
            "code",
            "types",
            "breakpoint",
            "pdb",
            "input",
        ],
    ),
    (
        Kind::OutsideAccess,
        &[
            "open",
            "os",
            "posix",
            "subprocess",
            "socket",
            "shutil",
            "tempfile",
            "pathlib",
            "Path",
            "urllib",
            "http",
            "requests",
            "httpx",
            "aiohttp",
            "ftplib",
            "smtplib",
            "threading",
            "multiprocessing",
            "concurrent",
            "asyncio",
            "environ",
            "getenv",
            "io",
            "fileinput",
            "sqlite3",
            "mmap",
            "pty",
            "webbrowser",
            "glob",
        ],
    ),
];

const PYTHON_MEMBERS: Words = &[
    (
        Kind::Exit,
        &["exit", "_exit", "abort", "kill", "quit", "skip", "fail", "killpg", "raise_signal"],
    ),
    (
        Kind::OutsideAccess,
        &[
            "system",
            "popen",
            "Popen",
            "spawn",
            "fork",
            "execv",
            "execve",
            "write_text",
            "read_text",
            "write_bytes",
            "read_bytes",
            "unlink",
            "urlopen",
            "stdin",
            "stdout",
            "stderr",
        ],
    ),
];

const JAVASCRIPT: Words = &[
    (Kind::Exit, &["exit", "abort"]),
    (
        Kind::Equality,
        &[
            "toPrimitive",
            "valueOf",
            "toString",
            "toJSON",
            "toStringTag",
            "hasInstance",
            "isConcatSpreadable",
            "species",
            "Proxy",
            "__defineGetter__",
        ],
    ),
    (
        Kind::TestAwareness,
        &[
            "test",
            "describe",
            "jest",
            "vitest",
            "mocha",
            "sinon",
            "assert",
            "expect",
            "it",
            "__filename",
            "__dirname",
            "prepareStackTrace",
            "captureStackTrace",
            "stack",
        ],
    ),
    (
        Kind::MonkeyPatch,
        &[
            "globalThis",
            "global",
            "window",
            "prototype",
            "__proto__",
            "defineProperty",
            "defineProperties",
            "setPrototypeOf",
            "Reflect",
            "unhandledRejection",
            "uncaughtException",
            "constructor",
        ],
    ),
    (Kind::DynamicCode, &["eval", "Function", "vm", "import", "WebAssembly"]),
    (
        Kind::OutsideAccess,
        &[
            "process",
            "require",
            "fetch",
            "XMLHttpRequest",
            "WebSocket",
            "Worker",
            "Deno",
            "Bun",
            "fs",
            "child_process",
            "worker_threads",
            "net",
            "http",
            "https",
            "os",
            "cluster",
            "dgram",
            "tls",
            "inspector",
        ],
    ),
];

const JAVASCRIPT_MEMBERS: Words = &[
    (Kind::Exit, &["exit", "reallyExit", "abort", "kill", "exitCode"]),
    (
        Kind::Equality,
        &["toPrimitive", "valueOf", "toString", "toJSON", "toStringTag", "hasInstance", "species"],
    ),
    (Kind::TestAwareness, &["stack", "prepareStackTrace", "captureStackTrace", "skip", "todo"]),
    (
        Kind::MonkeyPatch,
        &[
            "prototype",
            "__proto__",
            "defineProperty",
            "defineProperties",
            "setPrototypeOf",
            "constructor",
            "cache",
        ],
    ),
    (
        Kind::OutsideAccess,
        &[
            "env",
            "argv",
            "mainModule",
            "execSync",
            "spawn",
            "readFileSync",
            "writeFileSync",
            "binding",
            "dlopen",
            "execArgv",
        ],
    ),
];

const RUST: Words = &[
    (Kind::Exit, &["exit", "abort", "set_hook", "take_hook", "catch_unwind", "resume_unwind"]),
    (Kind::TestAwareness, &["test", "cfg_test", "should_panic"]),
    (Kind::MonkeyPatch, &["macro_rules", "no_mangle", "export_name", "global_allocator", "link"]),
    (
        Kind::DynamicCode,
        &["include", "include_str", "include_bytes", "asm", "global_asm", "dlopen"],
    ),
    (
        Kind::OutsideAccess,
        &[
            "File",
            "OpenOptions",
            "TcpStream",
            "TcpListener",
            "UdpSocket",
            "UnixStream",
            "Command",
            "env",
            "option_env",
            "stdin",
            "libc",
        ],
    ),
    (
        Kind::Unsafe,
        &[
            "transmute",
            "unreachable_unchecked",
            "get_unchecked",
            "from_raw",
            "from_raw_parts",
            "MaybeUninit",
        ],
    ),
];

const RUST_MEMBERS: Words = &[
    (Kind::Exit, &["exit", "abort", "catch_unwind", "set_hook"]),
    (Kind::OutsideAccess, &["spawn", "fs", "net", "process", "thread", "env", "scope"]),
];
