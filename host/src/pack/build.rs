//! From a pack's crate to its component: cargo builds the core module, `wit-component` wraps it, and what it imports is
//! checked. Needs a Rust toolchain and no WebAssembly runtime; what the component declares is for admission to say.
//!
//! The bytes depend on the sources and the compiler only. The profile is set here and not by the author's manifest, every
//! path of the machine is replaced by a fixed one, and a path that is left anyway is an error.

mod project;
mod toolchain;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use wit_component::{ComponentEncoder, DecodedWasm};

use project::Project;
pub use toolchain::Toolchain;
use toolchain::{Compiler, TARGET};

/// The one thing that a pack may import.
const IMPORT: &str = "lockgate:pack/query@1.0.0";
/// What a pack exports.
const EXPORT: &str = "lockgate:pack/actions@1.0.0";

/// Small, without unwinding, without debug information; one unit, so that there is one order of everything.
const PROFILE: &[&str] = &[
    r#"profile.pack.inherits="release""#,
    r#"profile.pack.opt-level="s""#,
    "profile.pack.lto=true",
    "profile.pack.codegen-units=1",
    r#"profile.pack.panic="abort""#,
    "profile.pack.strip=true",
    "profile.pack.debug=false",
    "profile.pack.incremental=false",
    "profile.pack.overflow-checks=true",
];

/// Bytes of stack. Rust's 1 MiB would be a quarter of a pack's memory; the SDK's deepest calls take a few kilobytes.
const STACK: u32 = 64 << 10;

/// Settings of the caller that would change what is built.
const FOREIGN_SETTINGS: &[&str] = &[
    "RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_TARGET_DIR",
    "CARGO_INCREMENTAL",
    "RUSTC",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_BOOTSTRAP",
];

/// What to build, and how.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// The pack's crate: where its `Cargo.toml` is.
    pub directory: PathBuf,
    /// Which compiler; `None` for the environment's `LOCKGATE_WASM_TOOLCHAIN`, or else the first that is there.
    pub toolchain: Option<Toolchain>,
    /// Where cargo keeps what it builds; `None` for the workspace's own directory.
    pub target_directory: Option<PathBuf>,
    /// Fail rather than change `Cargo.lock`.
    pub locked: bool,
    /// Show cargo's own messages while it builds; otherwise they are a part of the error.
    pub verbose: bool,
}

impl BuildOptions {
    /// The first compiler that is there, quietly.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), toolchain: None, target_directory: None, locked: false, verbose: false }
    }
}

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The setting names no compiler.
    #[error("LOCKGATE_WASM_TOOLCHAIN is `{0}`; use `rustup` or `debian`, or leave it unset")]
    Setting(String),
    /// There is no compiler for WebAssembly.
    #[error(
        "no compiler for {TARGET} was found ({0}); run `rustup target add {TARGET}`, or on Debian \
         `apt-get install rustc-web rust-web-src`, or scripts/setup, which does what is needed"
    )]
    NoToolchain(String),
    /// A program could not be started.
    #[error("`{program}` can't be started: {cause}; install Rust from https://rustup.rs")]
    Start {
        /// Which.
        program: String,
        /// Why.
        cause: std::io::Error,
    },
    /// The directory is no crate of a pack.
    #[error("`{}` can't be built as a pack: {why}", directory.display())]
    Project {
        /// As it was given.
        directory: PathBuf,
        /// What is wrong, and what to do.
        why: String,
    },
    /// cargo failed.
    #[error("cargo could not build `{package}`:\n{output}")]
    Cargo {
        /// The crate.
        package: String,
        /// What it said; empty if it was shown already.
        output: String,
    },
    /// What cargo built can't be read.
    #[error("`{}` can't be read: {cause}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The core module is not of the contract's world.
    #[error("`{package}` is no pack: {why}; does it say `lockgate_pack::export!(PACK)`?")]
    Component {
        /// The crate.
        package: String,
        /// What `wit-component` said.
        why: String,
    },
    /// The component imports more than the contract's `query`, or does not export its `actions`.
    #[error("the component {0}; a pack imports `{IMPORT}` and nothing else, and exports `{EXPORT}`")]
    World(String),
    /// A path of this machine is in the component.
    #[error(
        "the component would hold the path `{0}` of this machine; remove what writes it, such as `env!` or `file!`"
    )]
    MachinePath(String),
}

/// Builds the component of a pack's crate. Takes from seconds to a few minutes, and blocks.
///
/// # Errors
///
/// See [`BuildError`].
pub fn build_pack(options: &BuildOptions) -> Result<Vec<u8>, BuildError> {
    let compiler = Compiler::find(options.toolchain)?;
    let project = Project::read(&options.directory)?;
    let module = compile(options, &compiler, &project)?;
    let core = std::fs::read(&module).map_err(|cause| BuildError::Read { path: module, cause })?;
    let component = encode(&project.package, &core)?;
    check_world(&component)?;
    check_paths(&component, &project.remaps(&compiler))?;
    Ok(component)
}

/// Has cargo build the core module, and says where it is.
fn compile(options: &BuildOptions, compiler: &Compiler, project: &Project) -> Result<PathBuf, BuildError> {
    let program = project::cargo();
    let target = options.target_directory.as_deref().unwrap_or(&project.target);
    let mut cargo = Command::new(&program);
    cargo
        .arg("build")
        .args(["--lib", "--package", &project.package_id, "--target", TARGET, "--profile", "pack"])
        .arg("--manifest-path")
        .arg(&project.manifest)
        // One for each compiler: in a shared one each would throw away what the other built.
        .arg("--target-dir")
        .arg(target.join("packs").join(compiler.toolchain().as_str()))
        .args(["--message-format", "json-render-diagnostics"]);
    for setting in PROFILE {
        cargo.args(["--config", setting]);
    }
    if options.locked {
        cargo.arg("--locked");
    }
    for name in FOREIGN_SETTINGS {
        cargo.env_remove(name);
    }
    compiler.apply(&mut cargo);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags(&project.remaps(compiler)));
    cargo.stdin(Stdio::null()).stderr(if options.verbose { Stdio::inherit() } else { Stdio::piped() });
    let output =
        cargo.output().map_err(|cause| BuildError::Start { program: program.to_string_lossy().into_owned(), cause })?;
    if !output.status.success() {
        let output = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(BuildError::Cargo { package: project.package.clone(), output });
    }
    project.module(&output.stdout).ok_or_else(|| BuildError::Project {
        directory: options.directory.clone(),
        why: "it makes no WebAssembly module; write crate-type = [\"cdylib\", \"rlib\"] under [lib]".into(),
    })
}

/// The compiler's flags, as cargo takes them from its environment: separated by the unit separator.
fn flags(remaps: &[(PathBuf, String)]) -> OsString {
    let mut flags = OsString::from(format!("-Clink-arg=-zstack-size={STACK}"));
    for (from, to) in remaps {
        flags.push("\u{1f}--remap-path-prefix=");
        flags.push(from);
        flags.push("=");
        flags.push(to);
    }
    flags
}

fn encode(package: &str, core: &[u8]) -> Result<Vec<u8>, BuildError> {
    let encoded = (|| ComponentEncoder::default().validate(true).module(core)?.encode())();
    encoded.map_err(|error| BuildError::Component { package: package.to_owned(), why: format!("{error:#}") })
}

/// Checks that the component imports and exports what the contract says and nothing else.
fn check_world(component: &[u8]) -> Result<(), BuildError> {
    let decoded =
        wit_component::decode(component).map_err(|error| BuildError::World(format!("can't be read: {error:#}")))?;
    let DecodedWasm::Component(resolve, world) = decoded else {
        return Err(BuildError::World("is a package of WIT and no component".into()));
    };
    let Some(world) = resolve.worlds.get(world) else {
        return Err(BuildError::World("has no world".into()));
    };
    for key in world.imports.keys() {
        let name = resolve.name_world_key(key);
        if name != IMPORT {
            return Err(BuildError::World(format!("imports `{name}`")));
        }
    }
    let exports: Vec<_> = world.exports.keys().map(|key| resolve.name_world_key(key)).collect();
    match exports.as_slice() {
        [one] if one == EXPORT => Ok(()),
        [] => Err(BuildError::World("exports nothing".into())),
        several => Err(BuildError::World(format!("exports `{}`", several.join("`, `")))),
    }
}

/// Finds a path that was to be replaced and is there all the same.
fn check_paths(component: &[u8], remaps: &[(PathBuf, String)]) -> Result<(), BuildError> {
    let paths = remaps.iter().map(|(from, _)| from.as_path()).filter(|path| *path != Path::new("/"));
    for path in paths {
        let text = path.to_string_lossy();
        if !text.is_empty() && component.windows(text.len()).any(|window| window == text.as_bytes()) {
            return Err(BuildError::MachinePath(text.into_owned()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_left_is_found() {
        let remaps = [(PathBuf::from("/home/somebody/sizes"), "/pack".to_owned())];
        assert!(check_paths(b"\0asm /pack/src/lib.rs", &remaps).is_ok());
        let found = check_paths(b"\0asm /home/somebody/sizes/src/lib.rs", &remaps);
        assert!(matches!(found, Err(BuildError::MachinePath(path)) if path == "/home/somebody/sizes"));
    }

    #[test]
    fn flags_keep_paths_whole() {
        let flags = flags(&[(PathBuf::from("/a b"), "/pack".into()), (PathBuf::from("/c"), "/cargo".into())]);
        let flags = flags.to_string_lossy().into_owned();
        let parts: Vec<_> = flags.split('\u{1f}').collect();
        let expected =
            ["-Clink-arg=-zstack-size=65536", "--remap-path-prefix=/a b=/pack", "--remap-path-prefix=/c=/cargo"];
        assert_eq!(parts, expected);
    }

    #[test]
    fn what_is_no_component_of_ours_is_refused() {
        assert!(matches!(encode("sizes", b"\0asm\x01\0\0\0"), Ok(_) | Err(BuildError::Component { .. })));
        assert!(matches!(encode("sizes", b"nonsense"), Err(BuildError::Component { .. })));
        assert!(matches!(check_world(b"nonsense"), Err(BuildError::World(_))));
        let empty = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];
        assert!(matches!(check_world(&empty), Err(BuildError::World(why)) if why == "exports nothing"));
    }
}
