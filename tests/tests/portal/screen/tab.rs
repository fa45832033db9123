//! What somebody does in a tab of the browser, and what is seen there.

use std::{fs, path::PathBuf, sync::Arc, time::Instant};

use lockgate_tests::site::root;
use serde_json::{Value as Json, json};
use tokio::sync::Mutex;

use super::chromium::Wire;
use crate::host::PATIENCE;

/// Says which pictures are to be made anew for the documentation.
const WRITE: &str = "LOCKGATE_WRITE_DOCS";

/// Through what a page is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    width: u32,
    height: u32,
    scheme: &'static str,
    javascript: bool,
}

/// A phone by night.
pub const PHONE: Look = Look { width: 390, height: 844, scheme: "dark", javascript: true };
/// A desk by day.
pub const DESK: Look = Look { width: 1440, height: 900, scheme: "light", javascript: true };
/// The ways in which every page is looked at.
const LOOKS: [Look; 4] = [DESK, Look { scheme: "dark", ..DESK }, Look { scheme: "light", ..PHONE }, PHONE];

impl Look {
    /// The same in a browser that runs no scripts.
    pub const fn without_scripts(self) -> Self {
        Self { javascript: false, ..self }
    }

    pub fn describe(self, command: &mut Json) {
        command["width"] = self.width.into();
        command["height"] = self.height.into();
        command["scheme"] = self.scheme.into();
        command["javascript"] = self.javascript.into();
    }
}

/// A tab.
pub struct Tab {
    wire: Arc<Mutex<Wire>>,
    id: Json,
    look: Look,
}

impl Tab {
    pub fn new(wire: Arc<Mutex<Wire>>, id: Json, look: Look) -> Self {
        Self { wire, id, look }
    }

    async fn ask(&self, does: &str, mut how: Json) -> Json {
        how["tab"] = self.id.clone();
        how["does"] = does.into();
        self.wire.lock().await.ask(&how).await
    }

    async fn words(&self, does: &str) -> String {
        self.ask(does, json!({})).await.as_str().expect("a text").to_owned()
    }

    /// Goes to a page, by its address; the status of the answer.
    pub async fn open(&self, path: &str) -> u64 {
        self.ask("goto", json!({ "path": path })).await.as_u64().expect("a status")
    }

    pub async fn reload(&self) {
        self.ask("reload", json!({})).await;
    }

    /// Fills the field with this label.
    pub async fn fill(&self, label: &str, text: &str) {
        self.ask("fill", json!({ "label": label, "text": text })).await;
    }

    /// Chooses in the list with this label.
    pub async fn choose(&self, label: &str, option: &str) {
        self.ask("choose", json!({ "label": label, "option": option })).await;
    }

    /// Presses the button of this name.
    pub async fn click(&self, name: &str) {
        self.ask("click", json!({ "role": "button", "name": name })).await;
    }

    /// Follows the link of this name.
    pub async fn follow(&self, name: &str) {
        self.ask("click", json!({ "role": "link", "name": name })).await;
    }

    /// Presses a key.
    pub async fn press(&self, key: &str) {
        self.ask("press", json!({ "key": key })).await;
    }

    /// Types into what has the focus.
    pub async fn types(&self, text: &str) {
        self.ask("type", json!({ "text": text })).await;
    }

    /// Waits until this stands on the page.
    pub async fn says(&self, text: &str) {
        self.ask("says", json!({ "text": text })).await;
    }

    /// Loads the page again until this stands on it: for what does not arrive by itself.
    pub async fn comes_to_say(&self, text: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.text().await.contains(text) {
            assert!(Instant::now() < until, "{} never says {text:?}: {}", self.address().await, self.text().await);
            self.reload().await;
        }
    }

    /// Waits until it is at an address that begins like this.
    pub async fn arrives(&self, path: &str) {
        self.ask("arrives", json!({ "path": path })).await;
    }

    /// Whether there is a link of this name.
    pub async fn offers(&self, name: &str) -> bool {
        self.ask("count", json!({ "role": "link", "name": name })).await != 0
    }

    pub async fn text(&self) -> String {
        self.words("text").await
    }

    pub async fn title(&self) -> String {
        self.words("title").await
    }

    pub async fn address(&self) -> String {
        self.words("address").await
    }

    /// What has the focus: `tag`, `id`, `words`, and whether that is `visible`.
    pub async fn focused(&self) -> Json {
        self.ask("focused", json!({})).await
    }

    /// Leaves a mark on the page as it was loaded.
    pub async fn mark(&self) {
        self.ask("mark", json!({})).await;
    }

    /// Whether it is still the page that was marked, not loaded again since.
    pub async fn is_marked(&self) -> bool {
        self.ask("marked", json!({})).await == true
    }

    /// Gives this tab an authenticator.
    pub async fn has_authenticator(&self) {
        self.ask("authenticator", json!({})).await;
    }

    /// Looks at the page in every way, keeps the pictures under this name, and says what is wrong with it.
    pub async fn looked_at(&self, name: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        for look in LOOKS {
            self.resize(look).await;
            let picture = format!("{name}-{}-{}", look.width, look.scheme);
            self.ask("shot", json!({ "path": screens().join(format!("{picture}.png")) })).await;
            let found = self.ask("audit", json!({})).await;
            wrong.extend(barriers(&found).into_iter().map(|what| format!("{picture}: {what}")));
        }
        self.resize(self.look).await;
        wrong.extend(self.complaints().await.into_iter().map(|what| format!("{name}: {what}")));
        wrong
    }

    /// The same, for a page on which nothing may be wrong.
    pub async fn is_sound(&self, name: &str) {
        assert_sound(&self.looked_at(name).await);
    }

    /// Makes the picture of what is on the screen anew, for the documentation, if that was asked for.
    pub async fn pictured(&self, name: &str, look: Look) {
        if std::env::var(WRITE).is_ok_and(|what| what == "screens") {
            let images = root().join("docs/images");
            fs::create_dir_all(&images).expect("a directory");
            self.resize(look).await;
            self.ask("view", json!({ "path": images.join(format!("portal-{name}.png")) })).await;
            self.resize(self.look).await;
        }
    }

    async fn resize(&self, look: Look) {
        let mut how = json!({});
        look.describe(&mut how);
        self.ask("resize", how).await;
    }

    /// What the pages of this tab did that they must not.
    async fn complaints(&self) -> Vec<String> {
        let found = self.ask("complained", json!({})).await;
        found.as_array().expect("a list").iter().map(ToString::to_string).collect()
    }

    /// Looks back: no page of this tab did what it must not.
    pub async fn was_quiet(&self) {
        assert_sound(&self.complaints().await);
    }
}

pub fn assert_sound(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn barriers(found: &Json) -> Vec<String> {
    let list = |name: &str| found[name].as_array().expect("a list").iter().map(ToString::to_string);
    let mut wrong: Vec<String> = list("found").collect();
    if found["scrolls"] == true {
        wrong.push(format!("it is wider than the screen: {}", list("wide").collect::<Vec<_>>().join(", ")));
    }
    wrong.extend(list("small").map(|what| format!("too small for a finger: {what}")));
    wrong
}

fn screens() -> PathBuf {
    let path = root().join("target/screens");
    fs::create_dir_all(&path).expect("a directory");
    path
}
