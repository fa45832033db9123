//! Rust: cargo builds the core module, and `wit-component` wraps it. The profile is set here and not by the author's manifest, and every
//! path of the machine is replaced by a fixed one, so the bytes depend on the sources and the compiler only.

use std::{
    ffi::OsString,
    path::PathBuf,
    process::{Command, Stdio},
};

use wit_component::ComponentEncoder;

use super::{
    BuildError, BuildOptions, check_paths,
    project::{self, Project},
    toolchain::{Compiler, TARGET},
};

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

/// Builds the component of a crate.
pub(super) fn component(options: &BuildOptions) -> Result<Vec<u8>, BuildError> {
    let compiler = Compiler::find(options.toolchain)?;
    let project = Project::read(&options.directory)?;
    let module = compile(options, &compiler, &project)?;
    let core = std::fs::read(&module).map_err(|cause| BuildError::Read { path: module, cause })?;
    let component = encode(&project.package, &core)?;
    check_paths(&component, project.remaps(&compiler).iter().map(|(from, _)| from.as_path()))?;
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
    let output = cargo.output().map_err(|cause| BuildError::Start {
        program: program.to_string_lossy().into_owned(),
        cause,
        remedy: project::RUST,
    })?;
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn what_is_no_module_is_refused() {
        assert!(matches!(encode("sizes", b"\0asm\x01\0\0\0"), Ok(_) | Err(BuildError::Component { .. })));
        assert!(matches!(encode("sizes", b"nonsense"), Err(BuildError::Component { .. })));
    }
}
