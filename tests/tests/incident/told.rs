//! People are told in time: by webhook, Slack's payload and mail, from a real host over a real store; what fails is tried
//! again, over restarts, and seen; several hosts tell once; and none of it is in a call's way.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use lockgate::store::Decision;
use lockgate_tests::site::Site;
use serde_json::{Value as Json, json};
use sha2::Sha256;

use crate::{
    agent::{Agent, pending, rows},
    cli::assert_error,
    order::{server, victim},
    process::{lockgate, run, succeeds},
    receiver::{MailServer, Posted, Receiver},
};

const SECRET: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const LINK: &str = "https://gate.example.com";

/// A host with these channels and one target of this name.
async fn site(target: &str, channels: &str) -> Site {
    let settings = server().await.target(target, "agent", "postgres");
    let more = format!("[mcp]\nhold_seconds = 0\n[approvals]\nurl = \"{LINK}\"\n{channels}");
    let site = Site::with_stock_pack(&[settings], &more).await;
    site.write("hook.secret", &format!("whsec_{SECRET}\n"));
    site
}

fn webhook(name: &str, receiver: &Receiver, more: &str) -> String {
    format!(
        "[[notify]]\nname = \"{name}\"\nkind = \"webhook\"\nurl = \"http://{}/hook\"\nsecret_file = \"hook.secret\"\n{more}\n",
        receiver.at
    )
}

/// Asks for something that is held.
async fn ask(agent: &Agent, target: &str, reason: &str) -> (String, tokio_postgres::Client) {
    let (client, pid) = victim().await;
    let held = agent.call("terminate_backend", target, json!({ "pid": pid }), reason).await;
    (pending(&held), client)
}

/// As a receiver verifies it that knows Standard Webhooks.
fn is_signed(posted: &Posted) -> bool {
    let content = [posted.header("webhook-id"), posted.header("webhook-timestamp")].join(".");
    let mut mac = Hmac::<Sha256>::new_from_slice(&STANDARD.decode(SECRET).expect("base64")).expect("a key");
    mac.update(content.as_bytes());
    mac.update(b".");
    mac.update(&posted.body);
    posted.header("webhook-signature") == format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

fn failures(site: &Site) -> Vec<Json> {
    site.record().into_iter().filter(|line| line["ev"] == "notify.failed").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_signed_tried_again_under_one_id_and_its_failure_is_on_the_record_once() {
    let receiver = Receiver::start().await;
    let site = site("hooked", &webhook("oncall", &receiver, "events = [\"requested\", \"denied\"]")).await;
    receiver.answer(500, None);
    receiver.answer(429, None);
    let agent = Agent::start(&site).await;
    let (id, _client) = ask(&agent, "hooked", "a dead migration holds a lock, token=hunter2secret").await;
    let posted = receiver.until(3).await;
    let ids: BTreeSet<&str> = posted.iter().map(|one| one.header("webhook-id")).collect();
    assert_eq!(ids.len(), 1, "a receiver can tell a repetition by its id");
    assert!(posted.iter().all(is_signed), "{posted:#?}");
    let told = posted[2].json();
    assert_eq!((&told["type"], &told["data"]["approval"]), (&json!("approval.requested"), &json!(id)));
    let link = format!("{LINK}/approvals/{id}");
    for (key, value) in [
        ("action", "postgres.terminate_backend"),
        ("target", "hooked"),
        ("risk", "high"),
        ("agent", "claude"),
        ("person", "ada"),
        ("state", "pending"),
        ("link", link.as_str()),
    ] {
        assert_eq!(told["data"][key], value, "{told:#}");
    }
    assert!(told["data"]["expires_at"].is_string() && told["data"]["summary"].is_string(), "{told:#}");
    let text = told.to_string();
    assert!(!text.contains("hunter2secret"), "what is secret does not leave: {text}");
    assert!(told["data"].get("arguments").is_none() && told["data"].get("digest").is_none(), "{told:#}");

    site.decide(&id, Decision::Deny, "grace").await.expect("it is denied");
    let posted = receiver.until(4).await;
    let denied = posted[3].json();
    assert_eq!((&denied["type"], &denied["data"]["decided_by"]), (&json!("approval.denied"), &json!("grace")));
    assert_ne!(posted[3].header("webhook-id"), posted[2].header("webhook-id"));
    agent.close().await;

    let failures = failures(&site);
    assert_eq!(failures.len(), 1, "twice it failed, and once it is said: {failures:#?}");
    assert_eq!((&failures[0]["channel"], &failures[0]["approval"]), (&json!("oncall"), &json!(id)));
    assert!(failures[0]["error"].as_str().is_some_and(|error| error.contains("500")), "{failures:#?}");
    assert!(site.verify_record().intact);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_told_is_told_after_a_restart_and_the_doctor_sees_it_meanwhile() {
    let receiver = Receiver::start().await;
    receiver.always(503);
    let site = site("restarted", &webhook("oncall", &receiver, "")).await;
    let agent = Agent::start(&site).await;
    let (id, _client) = ask(&agent, "restarted", "a test of what outlives a host").await;
    let first = receiver.until(1).await;
    let doctor = async || succeeds(&site, &["doctor"]).await;
    let until = Instant::now() + Duration::from_secs(60);
    while !doctor().await.contains("1 tried again") {
        assert!(Instant::now() < until, "the doctor sees nothing");
    }
    let said = doctor().await;
    let line = said.lines().find(|line| line.contains("notify oncall")).expect("a line of the doctor");
    assert!(line.starts_with("warning") && line.contains("503"), "{line}");
    agent.kill().await;

    // Another process, and a receiver that is well again by then.
    receiver.always(200);
    let tried = receiver.posted().len();
    let agent = Agent::start(&site).await;
    let later = receiver.until(tried + 1).await;
    let same = |posted: &Posted| posted.header("webhook-id") == first[0].header("webhook-id");
    assert!(later.iter().all(same), "{later:#?}");
    assert_eq!(later[0].json()["data"]["approval"], json!(id));
    let until = Instant::now() + Duration::from_secs(60);
    while !doctor().await.contains("ok       notify oncall") {
        assert!(Instant::now() < until, "the doctor still sees something");
    }
    agent.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_hosts_tell_once_and_what_is_decided_is_not_asked_for_any_more() {
    let receiver = Receiver::start().await;
    let site = site("several", &webhook("oncall", &receiver, "events = [\"requested\", \"denied\"]")).await;
    let hosts = [Agent::start(&site).await, Agent::start(&site).await, Agent::start(&site).await];
    let mut ids = BTreeSet::new();
    let mut clients = Vec::new();
    for host in &hosts {
        let (id, client) = ask(host, "several", "a test of telling once").await;
        ids.insert(id);
        clients.push(client);
    }
    for id in &ids {
        site.decide(id, Decision::Deny, "grace").await.expect("it is denied");
    }
    let denied = |posted: &[Posted]| posted.iter().filter(|one| one.json()["type"] == "approval.denied").count();
    let posted = receiver.until_that(|posted| denied(posted) >= ids.len()).await;
    let messages: BTreeSet<&str> = posted.iter().map(|one| one.header("webhook-id")).collect();
    assert_eq!(messages.len(), posted.len(), "each once: {posted:#?}");
    assert_eq!(denied(&posted), ids.len(), "one for each decision, not one for each host");
    for host in hosts {
        host.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_hangs_keeps_no_call_waiting_and_no_other_channel() {
    let (hanging, well) = (Receiver::start().await, Receiver::start().await);
    hanging.hang();
    let channels = [webhook("a-hanging", &hanging, ""), webhook("well", &well, "")].concat();
    let site = site("hanging", &channels).await;
    let agent = Agent::start(&site).await;
    let (_id, _client) = ask(&agent, "hanging", "a test of what is in a call's way").await;
    hanging.until(1).await;
    well.until(1).await;
    // It hangs in the middle of an attempt, and calls go on as ever.
    let began = Instant::now();
    for _ in 0..5 {
        rows(&agent.call("activity_states", "hanging", json!({}), "a test of what is in a call's way").await);
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    agent.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed() {
    let (elsewhere, receiver) = (Receiver::start().await, Receiver::start().await);
    let site = site("redirected", &webhook("oncall", &receiver, "")).await;
    receiver.answer(307, Some(format!("http://{}/stolen", elsewhere.at)));
    let said = run(lockgate(&site).args(["notify", "test"])).await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.starts_with("FAILED  oncall (webhook): it answers 307") && said.out.contains("not followed"));
    assert_eq!(elsewhere.posted().len(), 0, "nobody else is sent to");
}

#[tokio::test(flavor = "multi_thread")]
async fn slack_is_told_without_links_or_mentions_of_somebody_else() {
    let receiver = Receiver::start().await;
    let channel = "[[notify]]\nname = \"chat\"\nkind = \"slack\"\nurl_file = \"slack.url\"\n";
    let site = site("chat", channel).await;
    site.write("slack.url", &format!("http://{}/services/T0/B0/xoxsecret\n", receiver.at));
    let agent = Agent::start(&site).await;
    let reason = "<!channel> `approve` <https://evil.example|here> *now* & @here";
    let (id, _client) = ask(&agent, "chat", reason).await;
    let posted = receiver.until(1).await;
    assert_eq!(posted[0].path, "/services/T0/B0/xoxsecret");
    let payload = posted[0].json();
    let text = payload["text"].as_str().expect("a text");
    let expected = "agent's reason: `&lt;!channel&gt; 'approve' &lt;https://evil.example|here&gt; *now* &amp; @here`";
    assert!(text.lines().any(|line| line == expected), "{text}");
    // The only thing between angle brackets is the way to the request.
    let brackets: Vec<&str> = text.match_indices('<').map(|(at, _)| &text[at..]).collect();
    assert_eq!(brackets.len(), 1, "{text}");
    assert!(brackets[0].starts_with(&format!("<{LINK}/approvals/{id}|Look at it>")), "{text}");
    assert!(text.contains("`chat`") || text.contains("on chat"), "{text}");
    agent.close().await;
    let record = serde_json::to_string(&site.record()).expect("JSON");
    assert!(!record.contains("xoxsecret"), "the address is a secret");
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_comes_as_plain_text_and_never_over_a_bare_line_that_should_be_protected() {
    let server = MailServer::start().await;
    let channel = |name: &str, tls: &str| {
        format!(
            "[[notify]]\nname = \"{name}\"\nkind = \"email\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"{tls}\"\n\
             from = \"lockgate <gate@example.com>\"\nto = [\"dba@example.com\"]\n",
            server.at.port()
        )
    };
    let site = site("mail", &[channel("mail", "none"), channel("protected", "starttls")].concat()).await;
    let agent = Agent::start(&site).await;
    let (id, _client) = ask(&agent, "mail", "see https://evil.example/approve for why this is needed").await;
    let mails = server.until(1).await;
    assert_eq!(mails[0].recipients.len(), 1);
    let mail = &mails[0].data;
    for part in ["Subject: [lockgate] high risk: postgres.terminate_backend on mail waits", "To: dba@example.com", &id]
    {
        assert!(mail.contains(part), "{part}: {mail}");
    }
    assert!(mail.contains(&format!("{LINK}/approvals/{id}")) && !mail.contains("https://evil.example"), "{mail}");
    assert!(mail.contains("Content-Type: text/plain"), "{mail}");

    let said = run(lockgate(&site).args(["notify", "test", "--json"])).await;
    assert_eq!(said.code, 1, "{said:?}");
    let reports: Vec<Json> = said.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of = |name: &str| reports.iter().find(|report| report["channel"] == name).expect("a report");
    assert_eq!(of("mail")["sent"], true, "{said:?}");
    assert_eq!(of("protected")["sent"], false, "a server without STARTTLS is sent nothing: {said:?}");
    agent.close().await;
    let bare = server.commands();
    let mails = server.mails().len();
    assert_eq!(bare.iter().filter(|command| command.starts_with("MAIL")).count(), mails, "{bare:#?}");
    assert_eq!(mails, 2, "the request and the test, by the channel that may: {bare:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_can_not_be_is_said_before_anything_is_served() {
    let receiver = Receiver::start().await;
    let site = site("unusable", &webhook("oncall", &receiver, "")).await;
    let tested = succeeds(&site, &["notify", "test"]).await;
    assert_eq!(tested, format!("ok      oncall (webhook): taken by http://{}\n", receiver.at));
    let test = receiver.until(1).await;
    assert!(is_signed(&test[0]) && test[0].json()["type"] == "lockgate.test", "{test:#?}");
    site.write("hook.secret", "hunter2\n");
    for arguments in [&["mcp"][..], &["serve"]] {
        let said = run(lockgate(&site).args(arguments)).await;
        if arguments == ["mcp"] {
            assert_error(&said, 2, "config_invalid", &["[[notify]] `oncall`", "hook.secret", "whsec_"]);
        }
        assert!(said.code == 2 && !said.err.contains("hunter2"), "{said:?}");
    }
    let said = run(lockgate(&site).args(["notify", "test", "--channel", "nobody"])).await;
    assert_error(&said, 2, "config_invalid", &["no such channel", "docs/notifications.md"]);
}
