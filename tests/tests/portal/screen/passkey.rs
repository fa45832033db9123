//! Passkeys as browsers do them, with an authenticator of Chromium's own: added, used to log in, and removed.

use super::{
    chromium::Chromium,
    tab::{DESK, PHONE},
};
use crate::host::Host;

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_is_added_and_lets_its_person_in() {
    let host = Host::new("vault", None, "").await;
    host.person("grace", "approver", &[]).await;
    let chromium = Chromium::start(&host);
    let tab = chromium.person("grace", PHONE).await;
    tab.has_authenticator().await;
    tab.open("/account").await;
    tab.says("You have none. A passkey is quicker than a password").await;
    tab.click("Add a passkey").await;
    tab.fill("A name for it", "my phone").await;
    tab.is_sound("passkey-add").await;
    tab.click("Make the passkey").await;
    tab.says("The passkey “my phone” is added").await;
    tab.is_sound("account-with-passkey").await;

    tab.click("Log out").await;
    tab.arrives("/login").await;
    tab.follow("Log in with a passkey").await;
    tab.is_sound("login-passkey-name").await;
    tab.fill("Name", "grace").await;
    tab.click("Go on").await;
    tab.says("Use my passkey").await;
    tab.is_sound("login-passkey").await;
    tab.click("Use my passkey").await;
    tab.says("Waiting for a decision").await;
    let record = host.site.record();
    let login = record.iter().rfind(|line| line["ev"] == "login").expect("a line");
    assert_eq!((&login["account"], &login["method"]), (&"grace".into(), &"passkey".into()), "{login}");

    // A browser without that authenticator does not get in by it.
    let other = chromium.tab(DESK).await;
    other.has_authenticator().await;
    other.open("/login/passkey").await;
    other.fill("Name", "grace").await;
    other.click("Go on").await;
    other.click("Use my passkey").await;
    other.says("Your device gave no passkey").await;

    tab.open("/account").await;
    tab.click("Remove my phone").await;
    tab.says("The passkey is removed").await;
    tab.was_quiet().await;
    host.close().await;
}
