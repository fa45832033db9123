//! The crate that is built: what cargo knows of it, where its paths lie, and which file is its module.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::Deserialize;

use super::{BuildError, toolchain::Compiler};

/// What has cargo.
pub(super) const RUST: &str = "Rust from https://rustup.rs";

/// A crate of a pack.
pub(super) struct Project {
    pub(super) manifest: PathBuf,
    pub(super) package: String,
    pub(super) package_id: String,
    /// The workspace's directory for what is built.
    pub(super) target: PathBuf,
    workspace: PathBuf,
    /// Crates outside the workspace that are taken from a path, with a fixed name for each.
    elsewhere: Vec<(PathBuf, String)>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    target_directory: PathBuf,
    workspace_root: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    source: Option<String>,
    manifest_path: PathBuf,
}

/// A message of cargo's about something it built.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    package_id: String,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

/// The cargo that runs us, if one does.
pub(super) fn cargo() -> OsString {
    std::env::var_os("CARGO").filter(|path| !path.is_empty()).unwrap_or_else(|| "cargo".into())
}

impl Project {
    /// Asks cargo about the crate in a directory.
    pub(super) fn read(directory: &Path) -> Result<Self, BuildError> {
        let refuse = |why: String| BuildError::Project { directory: directory.to_owned(), why };
        let manifest = std::fs::canonicalize(directory.join("Cargo.toml"))
            .map_err(|cause| refuse(format!("its Cargo.toml can't be found: {cause}")))?;
        let program = cargo();
        let output = Command::new(&program)
            .args(["metadata", "--format-version", "1", "--manifest-path"])
            .arg(&manifest)
            .stdin(Stdio::null())
            .output()
            .map_err(|cause| BuildError::Start {
                program: program.to_string_lossy().into_owned(),
                cause,
                remedy: RUST,
            })?;
        if !output.status.success() {
            return Err(refuse(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        let metadata: Metadata = serde_json::from_slice(&output.stdout)
            .map_err(|error| refuse(format!("cargo's answer can't be read: {error}")))?;
        let Metadata { packages, target_directory, workspace_root } = metadata;
        let elsewhere = packages
            .iter()
            .filter(|package| package.source.is_none() && !package.manifest_path.starts_with(&workspace_root))
            .filter_map(|p| Some((p.manifest_path.parent()?.to_owned(), format!("/{}-{}", p.name, p.version))))
            .collect();
        let Some(package) = packages.into_iter().find(|package| package.manifest_path == manifest) else {
            return Err(refuse(
                "its Cargo.toml describes a workspace and no package; name a member's directory".into(),
            ));
        };
        Ok(Self {
            manifest,
            package: package.name,
            package_id: package.id,
            target: target_directory,
            workspace: workspace_root,
            elsewhere,
        })
    }

    /// The paths of this machine that a compiler would write down, and what it writes instead. The last one that fits is
    /// taken, so what lies inside another comes after it.
    pub(super) fn remaps(&self, compiler: &Compiler) -> Vec<(PathBuf, String)> {
        // The library's sources: by the link that a compiler goes through, and by where Debian really has them.
        let sources = compiler.sysroot.join("lib/rustlib/src/rust");
        let real = std::fs::canonicalize(&sources).unwrap_or_else(|_| sources.clone());
        let library = || "/rust/lib/rustlib/src/rust".to_owned();
        let mut remaps = vec![(compiler.sysroot.clone(), "/rust".to_owned()), (real, library()), (sources, library())];
        remaps.extend(cargo_home().map(|home| (home, "/cargo".to_owned())));
        remaps.push((self.workspace.clone(), "/pack".to_owned()));
        remaps.extend(self.elsewhere.iter().cloned());
        remaps.sort_by_key(|(from, _)| from.components().count());
        // `/usr`, Debian's sysroot, says nothing about a machine and is the start of much else.
        remaps.retain(|(from, _)| from.components().count() > 2);
        remaps.dedup();
        remaps
    }

    /// The module among what cargo says it built.
    pub(super) fn module(&self, messages: &[u8]) -> Option<PathBuf> {
        let lines = messages.split(|byte| *byte == b'\n');
        let built = lines
            .filter_map(|line| serde_json::from_slice::<Message>(line).ok())
            .filter(|message| message.reason == "compiler-artifact" && message.package_id == self.package_id);
        built.flat_map(|message| message.filenames).find(|file| file.extension().is_some_and(|end| end == "wasm"))
    }
}

/// Where cargo keeps the sources of other crates.
fn cargo_home() -> Option<PathBuf> {
    let set = std::env::var_os("CARGO_HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    let home = set.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")))?;
    Some(std::fs::canonicalize(&home).unwrap_or(home))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn project() -> Project {
        Project {
            manifest: "/home/ana/sizes/Cargo.toml".into(),
            package: "sizes".into(),
            package_id: "path+file:///home/ana/sizes#1.0.0".into(),
            target: "/home/ana/sizes/target".into(),
            workspace: "/home/ana/sizes".into(),
            elsewhere: vec![("/home/ana/sdk/pack".into(), "/lockgate-pack-1.0.0".into())],
        }
    }

    #[test]
    fn the_module_is_found_among_cargos_messages() {
        let messages = br#"{"reason":"compiler-artifact","package_id":"other","filenames":["/t/other.wasm"]}
not json
{"reason":"compiler-artifact","package_id":"path+file:///home/ana/sizes#1.0.0","filenames":["/t/libsizes.rlib","/t/sizes.wasm"]}
{"reason":"build-finished","success":true}
"#;
        assert_eq!(project().module(messages), Some(PathBuf::from("/t/sizes.wasm")));
        assert_eq!(project().module(b""), None);
    }

    #[test]
    fn a_directory_without_a_crate_says_so() {
        let empty = tempfile::tempdir().unwrap();
        let error = Project::read(empty.path()).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("Cargo.toml can't be found"), "{error}");
    }
}
