//! A signing pipeline carries no WebAssembly runtime, no database and no network client.

use std::process::Command;

/// Beginnings of names that must not be reached.
const BANNED: [&str; 13] = [
    "wasm",
    "cranelift",
    "wit-",
    "postgres",
    "tokio",
    "pg_query",
    "rusqlite",
    "libsqlite3",
    "rustls",
    "openssl",
    "hyper",
    "axum",
    "rmcp",
];

#[test]
fn signing_stands_alone() {
    // What is built here, as Cargo resolves it; the lock file alone also lists what other platforms would need.
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args([
            "tree",
            "--package",
            "lockgate-signing",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{lib}",
        ])
        .args(["--offline", "--locked"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    let reached: Vec<&str> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    assert!(reached.contains(&"ed25519_dalek"), "{tree}");
    for name in reached.iter().filter(|name| **name != "lockgate_signing") {
        let name = name.replace('_', "-");
        let banned = BANNED.iter().any(|banned| name.starts_with(&banned.replace('_', "-")));
        assert!(!banned && !name.starts_with("lockgate"), "lockgate-signing reaches {name}");
    }
}
