//! A signing pipeline carries no WebAssembly runtime, no database and no network client.

use std::collections::{BTreeMap, BTreeSet};

#[derive(serde::Deserialize)]
struct Lock {
    package: Vec<Package>,
}

#[derive(serde::Deserialize)]
struct Package {
    name: String,
    #[serde(default)]
    dependencies: Vec<String>,
}

#[test]
fn signing_stands_alone() {
    // The lock file lists what a crate and its tests may pull in on any platform, so this is stricter than a build.
    let lock: Lock = toml::from_str(include_str!("../../../Cargo.lock")).unwrap();
    let mut graph: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in &lock.package {
        // `name`, or `name version` where there are several; taken together by name.
        let names = package.dependencies.iter().map(|dependency| dependency.split(' ').next().unwrap());
        graph.entry(&package.name).or_default().extend(names);
    }
    let mut reached = BTreeSet::new();
    let mut waiting = vec!["lockgate-signing"];
    while let Some(name) = waiting.pop() {
        if reached.insert(name) {
            waiting.extend(&graph[name]);
        }
    }
    assert!(reached.contains("ed25519-dalek"));
    for name in &reached {
        for banned in [
            "wasmtime",
            "wasmparser",
            "cranelift",
            "postgres",
            "pg_query",
            "tokio",
            "rusqlite",
            "libsqlite3",
            "rustls",
            "openssl",
            "hyper",
            "axum",
        ] {
            assert!(!name.starts_with(banned), "lockgate-signing reaches {name}");
        }
        assert!(*name == "lockgate-signing" || !name.starts_with("lockgate"), "lockgate-signing reaches {name}");
    }
}
