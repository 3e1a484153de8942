//! The helper process of the sandbox. It is started by the library with a private socket as its
//! standard input and speaks frames on it; it is of no use to a person.

fn main() -> std::process::ExitCode {
    greenlit_sandbox::helper_main()
}
