//! Lists the templates of `lockgate pack new`, so that a file which is put there is in the next build.

#![allow(clippy::expect_used, reason = "a build that can't read its own sources must end")]

use std::{
    env, fs,
    path::{Path, PathBuf},
};

const TEMPLATES: &str = "src/pack/new/templates";

fn main() {
    println!("cargo::rerun-if-changed={TEMPLATES}");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where it is")).join(TEMPLATES);
    let mut found = Vec::new();
    walk(&root, &mut found);
    found.sort();
    let mut list = String::from("&[\n");
    for path in found {
        let name = path.strip_prefix(&root).expect("it was found there").to_string_lossy().into_owned();
        list.push_str(&format!("    ({name:?}, include_str!({:?})),\n", path.display().to_string()));
    }
    list.push_str("]\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where to write"));
    fs::write(out.join("templates.rs"), list).expect("cargo's own directory can be written");
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("the templates can be read") {
        let path = entry.expect("the templates can be read").path();
        if path.is_dir() {
            walk(&path, found);
        } else {
            found.push(path);
        }
    }
}
