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

#[cfg(test)]
mod tests {
    use greenlit_syntax::Language;

    use super::super::reject;

    /// What is said of replacing `return a - b` by `new`.
    fn judge(language: Language, text: &str, new: &str) -> String {
        let patched = text.replace("return a - b", new);
        assert_ne!(patched, text);
        let said = reject(language, text, &patched, &[], &|_| false);
        said.map_or_else(|| "accepted".to_owned(), |reason| reason.to_string())
    }

    const GO: &str = "package p\n\nfunc F(a, b int) int {\n\treturn a - b\n}\n";
    const JAVA: &str = "class A {\n  int f(int a, int b) {\n    return a - b;\n  }\n  @Test void t() { assertEquals(f(2, 1), 1); }\n}\n";
    const CPP: &str =
        "int f(int a, int b) {\n  return a - b;\n}\nTEST(F, Works) { EXPECT_EQ(f(2, 1), 1); }\n";

    #[test]
    fn honest_patches_pass_and_leaving_the_process_does_not() {
        for (language, text) in [(Language::Go, GO), (Language::Java, JAVA), (Language::Cpp, CPP)] {
            assert_eq!(judge(language, text, "return a + b"), "accepted", "{language:?}");
        }
        let said = [
            judge(Language::Go, GO, "os.Exit(0); return a - b"),
            judge(Language::Java, JAVA, "System.exit(0); return a - b"),
            judge(Language::Cpp, CPP, "std::exit(0); return a - b"),
            judge(Language::Cpp, CPP, "abort(); return a - b"),
        ];
        for said in said {
            assert!(
                said.starts_with("ends the process") || said.starts_with("reaches outside"),
                "{said}"
            );
        }
    }

    #[test]
    fn marked_tests_must_stay_as_they_are() {
        for (language, text) in [(Language::Java, JAVA), (Language::Cpp, CPP)] {
            let patched = text.replace("f(2, 1), 1", "f(2, 1), f(2, 1)");
            let said = reject(language, text, &patched, &[], &|_| false);
            assert_eq!(said.map(|r| r.to_string()).as_deref(), Some("touches a test"));
        }
    }
}
