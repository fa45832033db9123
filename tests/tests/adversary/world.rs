//! A host with an honest pack and hostile ones, and the two questions that every case ends with: is the honest pack's next
//! call answered, and what reached the server?

use std::sync::Arc;

use lockgate::{error::Code, gate::Gate, startup::Opened, value::Value};
use lockgate_signing::declaration::{Declaration, DeclaredAction};
pub use lockgate_tests::guest::{Settings, component};
use lockgate_tests::{
    AGENT, cluster,
    site::{self, BuiltPack, Site, cache_toml},
};
use serde_json::Value as Json;
use tokio::sync::OnceCell;

use crate::log;

/// The pack that never does anything wrong.
pub async fn honest() -> &'static BuiltPack {
    static HONEST: OnceCell<BuiltPack> = OnceCell::const_new();
    HONEST.get_or_init(async || BuiltPack::describe(component(&[("name", "honest"), ("small", "")]).await).await).await
}

/// The pack whose calls misbehave; its manifest is in order, so it is admitted.
pub async fn adversary() -> &'static BuiltPack {
    static ADVERSARY: OnceCell<BuiltPack> = OnceCell::const_new();
    ADVERSARY.get_or_init(async || BuiltPack::describe(component(&[]).await).await).await
}

/// What a publisher signs of a component that will not get far enough to be compared with it.
pub fn claim(pack: &str) -> Declaration {
    Declaration {
        pack: pack.to_owned(),
        version: "1.0.0".to_owned(),
        contract: "1.0.0".to_owned(),
        actions: vec![DeclaredAction { name: "answer".to_owned(), risk: "low".to_owned() }],
        classes: vec!["read".to_owned()],
        manifest_sha256: "00".repeat(32),
    }
}

/// A host with the honest pack. Its target has the test's name, so that its statements can be told in the server's log.
pub struct World {
    pub site: Site,
    pub target: &'static str,
}

impl World {
    /// It takes what is compiled from the cache that the tests share: a hundred hostile copies are compiled once.
    pub async fn new(target: &'static str) -> Self {
        Self::with(target, &cache_toml()).await
    }

    /// The same with a cache of its own.
    pub async fn with_own_cache(target: &'static str) -> Self {
        Self::with(target, "").await
    }

    async fn with(target: &'static str, more: &str) -> Self {
        let site = Site::new(&[cluster().await.target(target, AGENT, "postgres")], more);
        site.add(honest().await);
        Self { site, target }
    }

    /// The same with the pack whose calls misbehave.
    pub async fn with_adversary(target: &'static str) -> Self {
        let world = Self::new(target).await;
        world.site.add(adversary().await);
        world
    }

    /// Opens the host; the honest pack must be in.
    pub async fn open(&self) -> Opened {
        self.site.open().await.expect("the host opens")
    }

    /// The code and the words of each refused component, by its file's name.
    pub async fn refusals(&self) -> (Arc<Gate>, Vec<(String, Code, String)>) {
        let Opened { gate, refused, .. } = self.open().await;
        let name = |path: &std::path::Path| path.file_name().expect("a name").to_string_lossy().into_owned();
        (gate, refused.into_iter().map(|r| (name(&r.path), r.error.code, r.error.message)).collect())
    }

    /// The host still answers.
    pub async fn is_served(&self, gate: &Arc<Gate>) {
        let outcome = site::done(gate, "honest.answer", self.target, Json::Null).await;
        assert_eq!(outcome.tables[0].rows.rows, vec![vec![Value::Integer(42)]]);
    }

    /// The host still answers, and nothing reached the server but its answer's statement and these.
    pub async fn ends_well(&self, gate: &Arc<Gate>, reached: &[&str]) {
        self.is_served(gate).await;
        log::reached(self.target, &[&[log::ANSWER], reached].concat()).await;
        let record = self.site.verify_record();
        assert!(record.intact, "{record}");
    }
}

/// A hostile component and the refusal it must meet.
pub struct Case {
    pub pack: String,
    pub bytes: Vec<u8>,
    pub code: Code,
    /// What the message must say: the code alone could be the right one for another reason.
    pub says: &'static str,
}

impl Case {
    /// A copy of the guest with these settings.
    pub async fn guest(pack: &str, settings: Settings<'_>, code: Code, says: &'static str) -> Self {
        let own = [("name", pack), ("small", ""), ("extra", "")];
        // The first setting of a name counts.
        let bytes = component(&[settings, &own].concat()).await;
        Self { pack: pack.to_owned(), bytes, code, says }
    }

    /// A component in WebAssembly text.
    pub fn text(pack: &str, text: &str, code: Code, says: &'static str) -> Self {
        let bytes = wat::parse_str(text).unwrap_or_else(|error| panic!("{pack}: {error}"));
        Self { pack: pack.to_owned(), bytes, code, says }
    }
}

/// One host, all of these beside the honest pack: each is refused with its code, and the host serves.
pub async fn refuses(target: &'static str, cases: Vec<Case>) {
    let world = World::new(target).await;
    for case in &cases {
        world.site.add(&BuiltPack { bytes: case.bytes.clone(), declaration: claim(&case.pack) });
    }
    let (gate, refused) = world.refusals().await;
    let mut wrong = Vec::new();
    for Case { pack, code, says, .. } in &cases {
        match refused.iter().find(|(file, ..)| *file == format!("{pack}-1.0.0.wasm")) {
            Some((_, found, message)) if found == code && message.contains(says) => {}
            Some((_, found, message)) => wrong.push(format!("{pack}: {found}: {message}")),
            None => wrong.push(format!("{pack}: admitted")),
        }
        if let Some((_, _, message)) = refused.iter().find(|(file, ..)| *file == format!("{pack}-1.0.0.wasm")) {
            let unseen = |c: char| c.is_control() && c != '\n' || ('\u{202a}'..='\u{202e}').contains(&c);
            assert!(!message.contains(unseen), "{pack}: the refusal disguises itself: {message:?}");
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert_eq!(refused.len(), cases.len(), "{refused:?}");
    let served: Vec<String> = gate.offers(&site::principal()).into_iter().map(|o| o.name).collect();
    assert_eq!(served, ["honest.answer"], "a pack is in or out as a whole");
    world.ends_well(&gate, &[]).await;
}
