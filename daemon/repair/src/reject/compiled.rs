//! Words of Go, Java and C++: see [`words`](super::words).

use super::words::{Kind, Words};

/// Packages stand under their names: a new use of one is refused, whatever it calls.
pub(super) const GO: Words = &[
    (Kind::Exit, &["recover", "Goexit"]),
    (Kind::TestAwareness, &["testing"]),
    (Kind::DynamicCode, &["plugin", "reflect"]),
    (
        Kind::OutsideAccess,
        &["os", "exec", "syscall", "net", "http", "ioutil", "signal", "runtime", "debug"],
    ),
    (Kind::Unsafe, &["unsafe"]),
];

pub(super) const GO_MEMBERS: Words = &[
    (Kind::Exit, &["Exit", "Fatal", "Fatalf", "Fatalln", "Goexit"]),
    (Kind::TestAwareness, &["Testing", "FailNow", "Skip", "SkipNow", "Skipf"]),
];

pub(super) const JAVA: Words = &[
    (Kind::Exit, &["Runtime", "ProcessHandle", "exit", "halt"]),
    (Kind::Equality, &["equals", "hashCode"]),
    (
        Kind::TestAwareness,
        &["StackWalker", "Assertions", "Assumptions", "Assume", "junit", "getStackTrace"],
    ),
    (
        Kind::MonkeyPatch,
        &["setAccessible", "setSecurityManager", "setProperty", "setOut", "setErr"],
    ),
    (
        Kind::DynamicCode,
        &[
            "Class",
            "ClassLoader",
            "MethodHandles",
            "ScriptEngineManager",
            "Proxy",
            "forName",
            "getDeclaredMethod",
            "getDeclaredField",
            "invoke",
        ],
    ),
    (
        Kind::OutsideAccess,
        &[
            "ProcessBuilder",
            "File",
            "Files",
            "Paths",
            "Path",
            "FileReader",
            "FileWriter",
            "FileInputStream",
            "FileOutputStream",
            "RandomAccessFile",
            "Socket",
            "ServerSocket",
            "URL",
            "HttpClient",
            "Thread",
            "getenv",
            "getProperty",
        ],
    ),
    (Kind::Unsafe, &["Unsafe", "native"]),
];

/// Java's methods are plain names to the grammar: all words are in [`JAVA`].
pub(super) const JAVA_MEMBERS: Words = &[];

pub(super) const CPP: Words = &[
    (
        Kind::Exit,
        &[
            "exit",
            "_exit",
            "_Exit",
            "quick_exit",
            "abort",
            "terminate",
            "atexit",
            "signal",
            "raise",
            "longjmp",
            "setjmp",
            "kill",
        ],
    ),
    (Kind::TestAwareness, &["testing", "GTEST_SKIP", "SUCCEED", "__FILE__", "__LINE__"]),
    (Kind::MonkeyPatch, &["dlsym", "mprotect"]),
    (Kind::DynamicCode, &["dlopen", "asm", "__asm__"]),
    (
        Kind::OutsideAccess,
        &[
            "system",
            "popen",
            "fopen",
            "open",
            "remove",
            "unlink",
            "rename",
            "fork",
            "execve",
            "execv",
            "execl",
            "getenv",
            "setenv",
            "socket",
            "connect",
            "thread",
            "ifstream",
            "ofstream",
            "fstream",
            "freopen",
            "filesystem",
        ],
    ),
    (Kind::Unsafe, &["reinterpret_cast", "const_cast"]),
];

pub(super) const CPP_MEMBERS: Words = &[(Kind::Exit, &["exit", "_Exit", "abort", "terminate"])];
