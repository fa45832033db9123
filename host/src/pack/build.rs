//! From a pack's directory to its component, by the tools of the language that it is written in, and whether what came out imports
//! and exports what a pack may. What the component declares is for admission to say.
//!
//! What is in the component is of the pack and of its tools: no path of the machine, which would be an error.

mod javascript;
mod project;
mod python;
mod room;
mod rust;
mod slim;
mod toolchain;

use std::path::{Path, PathBuf};

use wit_component::DecodedWasm;

pub use slim::SlimError;
use toolchain::TARGET;
pub use toolchain::Toolchain;

/// The one thing that a pack may import.
const IMPORT: &str = "lockgate:pack/query@1.0.0";
/// What a pack exports.
const EXPORT: &str = "lockgate:pack/actions@1.0.0";

/// What to build, and how.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// The pack: where its `Cargo.toml`, `package.json` or `requirements.txt` is.
    pub directory: PathBuf,
    /// For Rust, which compiler; `None` for the environment's `LOCKGATE_WASM_TOOLCHAIN`, or else the first that is there.
    pub toolchain: Option<Toolchain>,
    /// For Rust, where cargo keeps what it builds; `None` for the workspace's own directory.
    pub target_directory: Option<PathBuf>,
    /// For Rust, fail rather than change `Cargo.lock`.
    pub locked: bool,
    /// Show the tools' own messages while they build; otherwise they are a part of the error.
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
    #[error("`{program}` can't be started: {cause}; install {remedy}")]
    Start {
        /// Which.
        program: String,
        /// Why.
        cause: std::io::Error,
        /// What has it.
        remedy: &'static str,
    },
    /// The directory is no pack.
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
    /// What makes a component of this language is not there.
    #[error("`{}` is not there; in the pack's directory run: {remedy}", path.display())]
    Tool {
        /// What was looked for.
        path: PathBuf,
        /// How it is had.
        remedy: &'static str,
    },
    /// It failed.
    #[error("{tool} could not build the pack:\n{output}")]
    Failed {
        /// Which.
        tool: &'static str,
        /// What it said; empty if it was shown already.
        output: String,
    },
    /// Where it is built can't be made.
    #[error("`{}` can't be copied to where it is built: {cause}", path.display())]
    Room {
        /// What.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// What componentize-py made is not as it makes components.
    #[error("what componentize-py made can't be made small enough for a host: {0}")]
    Slim(#[from] SlimError),
    /// What was built can't be read.
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

/// What builds a component of one language.
type Language = fn(&BuildOptions) -> Result<Vec<u8>, BuildError>;

/// What a pack is written in, by the file that its tools go by.
fn language(directory: &Path) -> Result<Language, BuildError> {
    let has = |name: &str| directory.join(name).is_file();
    match (has("Cargo.toml"), has("package.json"), has("requirements.txt")) {
        (true, false, false) => Ok(rust::component),
        (false, true, false) => Ok(javascript::component),
        (false, false, true) => Ok(python::component),
        (false, false, false) => Err(BuildError::Project {
            directory: directory.to_owned(),
            why: "there is no Cargo.toml (Rust), package.json (JavaScript) or requirements.txt (Python) in it; \
                  `lockgate pack new NAME` makes a pack"
                .to_owned(),
        }),
        _ => Err(BuildError::Project {
            directory: directory.to_owned(),
            why: "it has files of several languages: keep one of Cargo.toml, package.json, requirements.txt".to_owned(),
        }),
    }
}

/// Builds the component of a pack. Takes from seconds to a few minutes, and blocks.
///
/// # Errors
///
/// See [`BuildError`].
pub fn build_pack(options: &BuildOptions) -> Result<Vec<u8>, BuildError> {
    let component = language(&options.directory)?(options)?;
    check_world(&component)?;
    Ok(component)
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

/// Finds a path that should not be there.
fn check_paths<'p>(component: &[u8], paths: impl IntoIterator<Item = &'p Path>) -> Result<(), BuildError> {
    for path in paths.into_iter().filter(|path| *path != Path::new("/")) {
        let text = path.to_string_lossy();
        if !text.is_empty() && component.windows(text.len()).any(|window| window == text.as_bytes()) {
            return Err(BuildError::MachinePath(text.into_owned()));
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_left_is_found() {
        let paths = || [Path::new("/home/somebody/sizes"), Path::new("/")];
        assert!(check_paths(b"\0asm /pack/src/lib.rs", paths()).is_ok());
        let found = check_paths(b"\0asm /home/somebody/sizes/src/lib.rs", paths());
        assert!(matches!(found, Err(BuildError::MachinePath(path)) if path == "/home/somebody/sizes"));
    }

    #[test]
    fn what_is_no_component_of_ours_is_refused() {
        assert!(matches!(check_world(b"nonsense"), Err(BuildError::World(_))));
        let empty = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];
        assert!(matches!(check_world(&empty), Err(BuildError::World(why)) if why == "exports nothing"));
    }

    #[test]
    fn a_directory_is_a_pack_of_one_language() {
        let dir = tempfile::tempdir().unwrap();
        let build = || build_pack(&BuildOptions::new(dir.path())).map_err(|error| error.to_string());
        assert!(build().is_err_and(|why| why.contains("there is no Cargo.toml (Rust)")));
        std::fs::write(dir.path().join("package.json"), "{}").unwrap();
        assert!(build().is_err_and(|why| why.contains("componentize-js") && why.contains("npm ci")));
        std::fs::write(dir.path().join("requirements.txt"), "").unwrap();
        assert!(build().is_err_and(|why| why.contains("several languages")));
        std::fs::remove_file(dir.path().join("package.json")).unwrap();
        assert!(build().is_err_and(|why| why.contains("componentize-py") && why.contains("-m venv")));
    }
}
