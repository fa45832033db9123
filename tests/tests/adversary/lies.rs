//! Components whose publisher signed something else than they declare: each of the fields that an envelope has.

use lockgate::{error::Code::ManifestMismatch, startup::Opened};
use lockgate_signing::declaration::{Declaration, DeclaredAction};
use lockgate_tests::site::BuiltPack;

use crate::world::{World, component};

#[tokio::test]
async fn what_was_signed_is_what_is_declared_or_the_pack_is_out() {
    let world = World::new("lies").await;
    type Lie = fn(&mut Declaration);
    let lies: &[(&str, &str, Lie)] = &[
        // The component calls itself `liar`; this is the file's and the envelope's name.
        ("liar-name", "name", |d| d.pack = "liar-a-name".into()),
        ("liar-version", "version", |d| d.version = "2.0.0".into()),
        ("liar-contract", "contract version", |d| d.contract = "0.9.0".into()),
        ("liar-newer-contract", "contract version", |d| d.contract = "1.1.0".into()),
        ("liar-risk", "actions or their risks", |d| d.actions[3].risk = "low".into()),
        ("liar-higher-risk", "actions or their risks", |d| d.actions[0].risk = "critical".into()),
        ("liar-fewer-actions", "actions or their risks", |d| d.actions.truncate(1)),
        ("liar-more-actions", "actions or their risks", |d| {
            d.actions.push(DeclaredAction { name: "more".into(), risk: "low".into() });
        }),
        ("liar-other-action", "actions or their risks", |d| d.actions[1].name = "behave".into()),
        ("liar-fewer-classes", "statement classes", |d| d.classes = vec!["read".into()]),
        ("liar-digest", "manifest digest", |d| d.manifest_sha256 = "ab".repeat(32)),
    ];
    // One component, compiled once; a directory and an envelope for each lie.
    let truth = BuiltPack::describe(component(&[("name", "liar")]).await).await;
    let mut list = String::new();
    for (place, _, lie) in lies {
        let mut built = truth.clone();
        lie(&mut built.declaration);
        let component = world.site.add(&built);
        let place = world.site.path("packs").join(place);
        std::fs::create_dir(&place).expect("a directory");
        for path in [component.with_extension("wasm.dsse.json"), component] {
            std::fs::rename(&path, place.join(path.file_name().expect("a name"))).expect("moved");
        }
        list.push_str(&format!(", {:?}", place.display().to_string()));
    }
    let config = std::fs::read_to_string(world.site.path("lockgate.toml")).expect("the configuration");
    world.site.write("lockgate.toml", &config.replace("packs = [\"packs\"", &format!("packs = [\"packs\"{list}")));
    let Opened { gate, refused, .. } = world.open().await;
    assert_eq!(refused.len(), lies.len(), "{refused:?}");
    for (place, says, _) in lies {
        let told =
            refused.iter().find(|refused| refused.path.parent().is_some_and(|p| p.ends_with(place))).expect(place);
        assert_eq!(told.error.code, ManifestMismatch, "{place}: {}", told.error);
        assert!(told.error.message.contains(says), "{place}: {}", told.error);
    }
    world.ends_well(&gate, &[]).await;
}

/// The same manifest but for one statement's text: nothing else tells the two apart.
#[tokio::test]
async fn another_text_of_a_statement_is_another_manifest() {
    let world = World::new("other_text").await;
    let with = async |sql: &str| {
        let settings = [("name", "twin"), ("small", ""), ("extra", ""), ("statement.sql", sql)];
        BuiltPack::describe(component(&settings).await).await
    };
    let (signed, shipped) = (with("SELECT 1::int8 AS one").await, with("SELECT 2::int8 AS one").await);
    world.site.add(&BuiltPack { declaration: signed.declaration, bytes: shipped.bytes });
    let (gate, refused) = world.refusals().await;
    assert!(matches!(refused.as_slice(), [(_, ManifestMismatch, m)] if m.contains("manifest digest")), "{refused:?}");
    world.ends_well(&gate, &[]).await;
}
