//! A stranger's crate, outside this workspace, builds to a component; and the same sources in another directory build to
//! the same bytes, so that whoever reviews a pack can build what was signed.

use std::{fs, path::Path};

use lockgate::pack::build::{BuildError, BuildOptions, build_pack};

const SOURCE: &str = r#"
use lockgate_pack::{Action, Column, Pack, Statement, Variant};
static READ: Statement = Statement::read("answer")
    .columns(&[Column::integer("answer")])
    .variants(&[Variant::all("SELECT 42::int8 AS answer")]);
static ACTION: Action = Action::read("answer").title("Answer").description("It is 42.").statements(&[&READ]);
pub static PACK: Pack = Pack::new("sizes", "1.0.0").summary("A stranger's").actions(&[&ACTION]);
"#;

/// Writes the crate and takes this workspace's lock file along, so that nothing is looked up anew.
fn stranger(directory: &Path, source: &str) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let manifest = format!(
        "[package]\nname = \"sizes\"\nversion = \"1.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[lib]\ncrate-type = \
         [\"cdylib\", \"rlib\"]\n\n[dependencies]\nlockgate-pack = {{ path = {:?} }}\n",
        here.join("packs-wit")
    );
    fs::create_dir_all(directory.join("src")).unwrap();
    fs::write(directory.join("Cargo.toml"), manifest).unwrap();
    fs::write(directory.join("src/lib.rs"), source).unwrap();
    fs::copy(here.join("Cargo.lock"), directory.join("Cargo.lock")).unwrap();
}

#[test]
fn a_strangers_pack_builds_to_the_same_bytes_anywhere() {
    let place = tempfile::tempdir().unwrap();
    let (one, other) = (place.path().join("one"), place.path().join("deeper/down/other"));
    let source = format!("{SOURCE}lockgate_pack::export!(PACK);\n");
    stranger(&one, &source);
    stranger(&other, &source);
    let build = |directory: &Path| {
        let mut options = BuildOptions::new(directory);
        // What runs on this machine (macros) is built once and kept between runs of this test.
        options.target_directory = Some(env!("CARGO_TARGET_TMPDIR").into());
        build_pack(&options)
    };
    let (first, second) = (build(&one).unwrap(), build(&other).unwrap());
    assert!(first.starts_with(b"\0asm\x0d\0\x01\0"), "a component, not a core module");
    assert!(first == second, "{} and {} bytes differ", first.len(), second.len());

    // Without `export!` it is a module of nothing.
    stranger(&one, SOURCE);
    assert!(matches!(build(&one), Err(BuildError::Component { .. } | BuildError::World(_))));
}
