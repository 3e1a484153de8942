//! Which paths of a machine are shown, and which never are.

/// System directories that hold programs and their data.
pub(super) const SYSTEM: [&str; 16] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc",
    "/opt",
    "/nix/store",
    "/gnu/store",
    "/snap",
    "/home/linuxbrew/.linuxbrew",
    "/run/current-system",
    "/sys/devices/system/cpu",
    "/sys/kernel/mm/transparent_hugepage",
];

/// Never shown, whoever asks: keys and passwords of the machine.
pub(super) const SYSTEM_SECRETS: [&str; 12] = [
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/ssh",
    "/etc/ssl/private",
    "/etc/krb5.keytab",
    "/etc/security/opasswd",
    "/etc/NetworkManager/system-connections",
    "/etc/wireguard",
];

/// Not shown on anybody's request: services' sockets and the machine itself. A read-only mount does
/// not keep a socket from being connected to.
pub(super) const NEVER: [&str; 6] = ["/proc", "/sys", "/dev", "/run", "/var/run", "/boot"];

/// Toolchains and registries in the home directory, shown read-only.
pub(super) const HOME_READABLE: [&str; 34] = [
    ".cargo/bin",
    ".cargo/registry",
    ".cargo/git",
    ".cargo/config.toml",
    ".cargo/config",
    ".cargo/env",
    ".rustup",
    ".pyenv",
    ".nvm",
    ".nodenv",
    ".rbenv",
    ".asdf",
    ".volta",
    ".fnm",
    ".bun/bin",
    ".deno/bin",
    ".local/bin",
    ".local/lib",
    ".local/pipx",
    ".local/share/uv",
    ".local/share/mise",
    ".local/share/fnm",
    ".local/share/pipx",
    ".local/share/virtualenvs",
    ".virtualenvs",
    ".conda/envs",
    "miniconda3",
    "miniforge3",
    "anaconda3",
    "go/bin",
    "go/pkg/mod",
    ".sdkman/candidates",
    ".m2/repository",
    ".ghcup/bin",
];

/// Hidden even where a readable directory of the caller's contains them.
pub(super) const HOME_SECRETS: [&str; 16] = [
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".kube",
    ".netrc",
    ".npmrc",
    ".pypirc",
    ".git-credentials",
    ".docker/config.json",
    ".config/gh",
    ".config/git/credentials",
    ".config/gcloud",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".m2/settings.xml",
];
