//! Which compiler builds for WebAssembly: rustup's with its target, or Debian's `rustc-web`, which builds the standard
//! library from `rust-web-src` first, since it comes without one.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::BuildError;

/// The target without an operating system: what it builds imports nothing of its own accord.
pub(super) const TARGET: &str = "wasm32-unknown-unknown";

/// Forces one of the two.
const SETTING: &str = "LOCKGATE_WASM_TOOLCHAIN";

/// Where Debian installs it; never looked up in `PATH`, where rustup's comes first.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

/// A compiler for WebAssembly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// The `rustc` in `PATH`, with the target's library (`rustup target add wasm32-unknown-unknown`).
    Rustup,
    /// Debian's packages `rustc-web` and `rust-web-src`.
    Debian,
}

impl Toolchain {
    /// `rustup` or `debian`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rustup => "rustup",
            Self::Debian => "debian",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Rustup, Self::Debian].into_iter().find(|toolchain| toolchain.as_str() == text)
    }
}

/// A compiler that was found, with what it needs.
pub(super) struct Compiler {
    /// With its library for the target, or its sources.
    pub(super) sysroot: PathBuf,
    kind: Kind,
}

enum Kind {
    Rustup,
    Debian { linker: PathBuf },
}

impl Compiler {
    /// The compiler that is asked for, or the first that is there.
    pub(super) fn find(asked: Option<Toolchain>) -> Result<Self, BuildError> {
        let asked = match (asked, std::env::var(SETTING)) {
            (Some(asked), _) => Some(asked),
            (None, Ok(text)) if !text.is_empty() => {
                Some(Toolchain::parse(&text).ok_or_else(|| BuildError::Setting(text.escape_debug().to_string()))?)
            }
            (None, _) => None,
        };
        let found = match asked {
            Some(Toolchain::Rustup) => Self::rustup(),
            Some(Toolchain::Debian) => Self::debian(),
            None => Self::rustup().or_else(|why| Self::debian().map_err(|also| format!("{why}; {also}"))),
        };
        found.map_err(BuildError::NoToolchain)
    }

    pub(super) fn toolchain(&self) -> Toolchain {
        match self.kind {
            Kind::Rustup => Toolchain::Rustup,
            Kind::Debian { .. } => Toolchain::Debian,
        }
    }

    fn rustup() -> Result<Self, String> {
        let library = ask(Path::new("rustc"), &["--print", "target-libdir", "--target", TARGET])?;
        if !holds_core(&library) {
            return Err("the `rustc` in PATH has no library for it".into());
        }
        Ok(Self { sysroot: ask(Path::new("rustc"), &["--print", "sysroot"])?, kind: Kind::Rustup })
    }

    fn debian() -> Result<Self, String> {
        let sysroot = ask(Path::new(DEBIAN_RUSTC), &["--print", "sysroot"])?;
        if !sysroot.join("lib/rustlib/src/rust/library/core").is_dir() {
            return Err(format!("`{DEBIAN_RUSTC}` has no library sources"));
        }
        let linker = linker().ok_or("there is no linker for WebAssembly (rust-lld or wasm-ld)")?;
        Ok(Self { sysroot, kind: Kind::Debian { linker } })
    }

    /// Makes cargo use it.
    pub(super) fn apply(&self, cargo: &mut Command) {
        if let Kind::Debian { linker } = &self.kind {
            cargo
                .arg("-Zbuild-std=std,panic_abort")
                .env("RUSTC", DEBIAN_RUSTC)
                // -Zbuild-std is unstable: this lets a stable compiler take it.
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker)
                // cargo sets it for what it runs; the other compiler's libraries are not this one's.
                .env_remove("LD_LIBRARY_PATH");
        }
    }
}

/// The one line that a compiler prints, as a path.
fn ask(rustc: &Path, args: &[&str]) -> Result<PathBuf, String> {
    let mut command = Command::new(rustc);
    command.args(args).stdin(Stdio::null()).stderr(Stdio::null());
    if rustc == Path::new(DEBIAN_RUSTC) {
        command.env_remove("LD_LIBRARY_PATH");
    }
    match command.output() {
        Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).trim().into()),
        Ok(_) => Err(format!("`{}` does not know it", rustc.display())),
        Err(_) => Err(format!("`{}` can't be started", rustc.display())),
    }
}

fn holds_core(library: &Path) -> bool {
    std::fs::read_dir(library)
        .is_ok_and(|entries| entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-")))
}

/// rustup's own linker, or LLVM's as Debian packages it.
fn linker() -> Option<PathBuf> {
    let rustup = ask(Path::new("rustc"), &["--print", "target-libdir"]).ok();
    let beside = rustup.and_then(|library| library.parent().map(|target| target.join("bin/rust-lld")));
    let mut candidates: Vec<PathBuf> = beside.into_iter().collect();
    candidates.push("/usr/bin/rust-lld".into());
    candidates.push("/usr/bin/wasm-ld".into());
    // The newest first; Debian has had versions from 13 on.
    candidates.extend((13..40).rev().map(|version| format!("/usr/bin/wasm-ld-{version}").into()));
    candidates.into_iter().find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_toolchains() {
        assert_eq!(Toolchain::parse("rustup"), Some(Toolchain::Rustup));
        assert_eq!(Toolchain::parse("debian"), Some(Toolchain::Debian));
        assert_eq!(Toolchain::parse("nightly"), None);
    }

    #[test]
    fn a_compiler_that_is_not_there_is_an_answer() {
        assert!(ask(Path::new("/nowhere/rustc"), &["--print", "sysroot"]).is_err());
        assert!(!holds_core(Path::new("/nowhere")));
    }
}
