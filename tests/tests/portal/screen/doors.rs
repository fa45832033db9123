//! The pages of coming in and of who may: as they look, and what they keep people from.

use lockgate::{portal::ISSUER_BACK, store::PortalRole};

use super::{
    chromium::Chromium,
    tab::{DESK, PHONE, assert_sound},
};
use crate::{
    host::Host,
    oidc::worlds,
    world::{PASSWORD, World},
};

#[tokio::test(flavor = "multi_thread")]
async fn the_first_administrator_comes_in_by_the_link() {
    let world = World::new().await;
    let link = world.people().setup_link().await.expect("the store").expect("a link").path(true);
    let chromium = Chromium::at(world.access.site.origin());
    let tab = chromium.tab(PHONE).await;
    assert_eq!(tab.open(&link).await, 200);
    tab.is_sound("setup").await;
    tab.fill("Your name here", "grace").await;
    tab.fill("New password", PASSWORD).await;
    tab.fill("New password, again", "something else entirely").await;
    tab.click("Make my account").await;
    tab.arrives(&link).await;
    tab.is_sound("setup-wrong").await;
    tab.fill("New password", PASSWORD).await;
    tab.fill("New password, again", PASSWORD).await;
    tab.click("Make my account").await;
    tab.says("Welcome, grace").await;
    tab.is_sound("account-new").await;

    // Whoever comes late is told so.
    let late = chromium.tab(PHONE).await;
    assert_eq!(late.open(&link).await, 410);
    late.is_sound("link-used").await;

    // After a while the page asks who it is before anything is changed.
    world.pass(20 * 60);
    tab.open("/account").await;
    tab.click("Add a passkey").await;
    tab.says("Is it still you?").await;
    tab.fill("Password", "not my password at all").await;
    tab.click("Go on").await;
    tab.says("That is not your password").await;
    tab.is_sound("confirm").await;
    tab.fill("Password", PASSWORD).await;
    tab.click("Go on").await;
    tab.says("Thank you. Nothing was done meanwhile").await;

    world.person("heidi", PortalRole::Viewer).await;
    let link = world.people().password_link("heidi", "grace").await.expect("a link").path(false);
    assert_eq!(late.open(&link).await, 200);
    late.is_sound("link-password").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_an_issuer_and_of_showing_again_are_sound() {
    let (world, _issuer) = worlds().await;
    world.person("grace", PortalRole::Approver).await;
    let chromium = Chromium::at(world.access.site.origin());
    let tab = chromium.tab(PHONE).await;
    let mut wrong = Vec::new();
    tab.open("/login").await;
    tab.says("Log in with Corp").await;
    wrong.extend(tab.looked_at("login-issuer").await);
    assert_eq!(tab.open(&format!("{ISSUER_BACK}?state=AAAAAAAAAAAAAAAAAAAAAA&code=x")).await, 422);
    wrong.extend(tab.looked_at("login-issuer-failed").await);

    tab.has_authenticator().await;
    tab.open("/login").await;
    tab.fill("Name", "grace").await;
    tab.fill("Password", PASSWORD).await;
    tab.click("Log in").await;
    tab.arrives("/").await;
    tab.open("/account").await;
    tab.click("Add a passkey").await;
    tab.fill("A name for it", "my phone").await;
    tab.click("Make the passkey").await;
    tab.says("The passkey “my phone” is added").await;
    world.pass(20 * 60);
    tab.open("/account").await;
    tab.click("Add a passkey").await;
    tab.says("Is it still you?").await;
    wrong.extend(tab.looked_at("confirm-passkey").await);
    tab.click("Use a passkey").await;
    tab.says("Use my passkey").await;
    wrong.extend(tab.looked_at("confirm-with-passkey").await);
    tab.click("Use my passkey").await;
    tab.says("Thank you. Nothing was done meanwhile").await;
    tab.was_quiet().await;
    assert_sound(&wrong);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_accounts_are_sound() {
    let host = Host::new("people", None, "").await;
    host.person("grace", "admin", &["--group", "dba", "--group", "oncall", "--email", "grace@corp.example"]).await;
    host.person("barbara", "approver", &["--group", "dba"]).await;
    host.person("vera", "viewer", &[]).await;
    let chromium = Chromium::start(&host);
    let tab = chromium.tab(DESK).await;
    let mut wrong = Vec::new();
    tab.open("/accounts").await;
    tab.arrives("/login?next=").await;
    wrong.extend(tab.looked_at("login").await);
    tab.fill("Name", "grace").await;
    tab.fill("Password", "not her password").await;
    tab.click("Log in").await;
    tab.says("That is not right").await;
    wrong.extend(tab.looked_at("login-wrong").await);
    tab.fill("Password", PASSWORD).await;
    tab.click("Log in").await;
    tab.arrives("/accounts").await;
    wrong.extend(tab.looked_at("accounts").await);
    tab.fill("Name", "vera").await;
    tab.click("Make the account").await;
    tab.says("vera").await;
    wrong.extend(tab.looked_at("accounts-wrong").await);
    tab.open("/accounts/barbara").await;
    wrong.extend(tab.looked_at("account-of-somebody").await);
    tab.click("Make a link to set a password").await;
    tab.says("Give this link to barbara").await;
    wrong.extend(tab.looked_at("account-link").await);
    tab.open("/accounts/vera").await;
    tab.fill("Why", "Has left").await;
    tab.click("Disable the account").await;
    tab.says("vera is disabled and logged out").await;
    wrong.extend(tab.looked_at("account-disabled").await);
    tab.open("/account").await;
    wrong.extend(tab.looked_at("account").await);
    tab.open("/account/tokens").await;
    tab.fill("Name", "work laptop").await;
    tab.fill("Days", "91").await;
    tab.click("Make the token").await;
    tab.says("a token is valid for 1 to 90 days").await;
    wrong.extend(tab.looked_at("account-tokens-wrong").await);
    tab.fill("Days", "90").await;
    tab.click("Make the token").await;
    tab.says("This is shown only now").await;
    wrong.extend(tab.looked_at("account-token-made").await);
    tab.follow("Done").await;
    tab.says("work laptop").await;
    wrong.extend(tab.looked_at("account-tokens").await);
    assert_eq!(tab.open("/nowhere").await, 404);
    wrong.extend(tab.looked_at("problem-not-found").await);
    let viewer = chromium.person("barbara", PHONE).await;
    assert_eq!(viewer.open("/accounts").await, 403);
    wrong.extend(viewer.looked_at("problem-forbidden").await);
    assert_sound(&wrong);
    host.close().await;
}
