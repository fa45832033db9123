//! The contract grows and packs stay: one that is built by the recipe of contract 1.0 is taken in and runs, and one of a contract
//! that this host does not know is told so.

use std::{fs, path::Path};

use lockgate::{
    error::Code,
    pack::{
        admission::Admission,
        build::{BuildOptions, build_pack},
        sandbox::Sandbox,
    },
    value::Value,
};
use lockgate_tests::{
    AGENT, cluster,
    site::{self, BuiltPack, Site},
};
use serde_json::Value as Json;
use tokio::sync::OnceCell;

/// Builds the recipe as a crate of its own, with the versions of this workspace's lock file, so that nothing is looked up anew.
async fn veteran() -> &'static Vec<u8> {
    static BUILT: OnceCell<Vec<u8>> = OnceCell::const_new();
    BUILT
        .get_or_init(async || {
            let place = tempfile::tempdir().expect("a directory");
            let root = place.path().join("veteran");
            let recipe = site::root().join("tests/recipes/contract-1.0");
            for directory in ["src", "wit"] {
                fs::create_dir_all(root.join(directory)).expect("a directory");
            }
            let copy = |from: &Path, to: &str| fs::copy(from, root.join(to)).map(|_| ()).expect("a file");
            copy(&recipe.join("lib.rs"), "src/lib.rs");
            copy(&recipe.join("pack.wit"), "wit/pack.wit");
            copy(&site::root().join("Cargo.lock"), "Cargo.lock");
            let manifest = "[package]\nname = \"veteran\"\nversion = \"1.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[lib]\n\
                            crate-type = [\"cdylib\"]\n\n[dependencies]\nwit-bindgen = { version = \"0.61.1\", default-features = \
                            false, features = [\"macros\", \"realloc\"] }\n";
            fs::write(root.join("Cargo.toml"), manifest).expect("a manifest");
            let mut options = BuildOptions::new(root);
            options.target_directory = Some(env!("CARGO_TARGET_TMPDIR").into());
            let built = tokio::task::spawn_blocking(move || build_pack(&options)).await.expect("the build's thread");
            built.expect("the recipe builds")
        })
        .await
}

#[tokio::test]
async fn a_pack_of_contract_1_0_still_runs() {
    let pack = BuiltPack::describe(veteran().await.clone()).await;
    assert_eq!(pack.declaration.contract, "1.0.0");
    let site = Site::new(&[cluster().await.target("veteran", AGENT, "postgres")], "");
    site.add(&pack);
    let gate = site.gate().await;
    let outcome = site::done(&gate, "veteran.answer", "veteran", Json::Null).await;
    assert_eq!(outcome.tables[0].rows.rows, vec![vec![Value::Integer(42)]]);
}

#[tokio::test]
async fn a_contract_that_is_not_known_yet_is_named() {
    let mut bytes = veteran().await.clone();
    let (now, then) = (b"lockgate:pack/actions@1.0.0", b"lockgate:pack/actions@2.0.0");
    let places: Vec<usize> = (0..bytes.len() - now.len()).filter(|at| bytes[*at..].starts_with(now)).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..at + then.len()].copy_from_slice(then);
    }
    let admission = Admission::new(Sandbox::new().expect("an engine"), None);
    let error = admission.describe_unverified(&bytes).await.err().expect("it is refused");
    assert_eq!(error.code, Code::ExportMissing);
    assert_eq!(error.message, "it speaks version 2.0.0 of the contract, and this host speaks 1.0.0");
    assert!(error.remedy.contains("update lockgate"), "{}", error.remedy);
}
