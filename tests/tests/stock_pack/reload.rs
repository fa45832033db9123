//! Packs, trust and policy are read again while calls are served: together or not at all, on the record before they are in
//! force, and what is revoked is out whatever else is wrong.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Stdio, sync::Arc, time::Duration};

use lockgate::{
    error::Code,
    gate::Gate,
    startup::{self, Cause, Opened},
    store::State,
};
use lockgate_tests::{
    AGENT,
    answers::refused,
    site::{Site, call, diagnose_pack, done, ended, held, principal, stock_pack},
};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::Command,
};

use crate::world::{PATIENCE, app, run, world};

const READS: &str = "version = 1\n";
const NO_UPTIME: &str =
    "version = 1\n[[rule]]\nname = \"no uptime\"\nactions = [\"postgres.uptime\"]\ndecision = \"deny\"\n";

async fn site() -> Site {
    let targets = [world().await.primary.target("primary", AGENT, "shop")];
    let site = Site::with_stock_pack(&targets, "policy = \"policy.toml\"\n").await;
    site.write("policy.toml", READS);
    site
}

async fn opened() -> (Site, Opened) {
    let site = site().await;
    let opened = site.open().await.expect("the host opens");
    (site, opened)
}

async fn uptime(gate: &Arc<Gate>) -> Result<(), Code> {
    call(gate, "postgres.uptime", "primary", json!({})).await.map(drop).map_err(|refused| refused.refusal.code)
}

fn names(gate: &Gate) -> Vec<String> {
    gate.rules().catalog.packs().map(|pack| pack.manifest().manifest().name.clone()).collect()
}

fn lines(site: &Site, event: &str) -> Vec<Json> {
    site.record().into_iter().filter(|line| line["ev"] == event).collect()
}

fn envelope(component: &Path) -> std::path::PathBuf {
    component.with_extension("wasm.dsse.json")
}

#[test]
fn an_edited_policy_is_in_force_without_a_restart_and_a_broken_one_changes_nothing() {
    run(async {
        let (site, Opened { gate, reloader, .. }) = opened().await;
        let changes = gate.changes();
        assert_eq!(uptime(&gate).await, Ok(()));
        assert!(!reloader.reload(Cause::Signal).await.expect("all is well").is_change());
        assert!(!changes.has_changed().expect("the gate lives"), "what is as it was is no change");
        assert!(lines(&site, "host.reload").is_empty());

        let before = gate.rules().policy.digest().to_owned();
        site.write("policy.toml", NO_UPTIME);
        assert_eq!(uptime(&gate).await, Ok(()), "a file alone changes nothing");
        reloader.reload(Cause::Files).await.expect("the policy is sound");
        assert_eq!(uptime(&gate).await, Err(Code::UnknownAction), "what is denied everywhere is not there");
        assert!(changes.has_changed().expect("the gate lives"));
        let after = gate.rules().policy.digest().to_owned();
        let told = lines(&site, "host.reload").pop().expect("it is on the record");
        assert_eq!((&told["policy_from"], &told["policy_to"]), (&json!(before), &json!(after)));
        assert_eq!((&told["cause"], &told["packs_in"], &told["packs_out"]), (&json!("files"), &json!([]), &json!([])));
        let told = lines(&site, "policy.changed").pop().expect("it is on the record");
        assert_eq!((&told["from"], &told["to"]), (&json!(before), &json!(after)));
        assert_eq!(told["changes"], json!(["rule `no uptime` added: deny; actions: postgres.uptime"]));
        assert_eq!(told["file_owner"]["uid"], json!(geteuid().as_raw()));

        let changes = gate.changes();
        for (file, broken, code) in [
            (
                "policy.toml",
                "version = 1\n[[rule]]\nname = \"typo\"\nactions = [\"*\"]\ndecison = \"allow\"\n",
                Code::ConfigInvalid,
            ),
            ("trust.toml", "version = 1\n[[key]]\nname = 7\n", Code::TrustInvalid),
        ] {
            let sound = fs::read_to_string(site.path(file)).expect("a file");
            site.write(file, broken);
            let refusal = reloader.reload(Cause::Files).await.expect_err("it is broken");
            assert_eq!(refusal.code, code, "{refusal:?}");
            assert_eq!((gate.rules().policy.digest(), names(&gate)), (after.as_str(), vec!["postgres".to_owned()]));
            let told = lines(&site, "host.reload_refused").pop().expect("it is on the record");
            assert_eq!((&told["code"], &told["packs_out"]), (&json!(code.as_str()), &json!([])));
            assert!(told["message"].as_str().expect("a text").contains(file), "{told}");
            site.write(file, &sound);
        }
        // A policy that others may write is nobody's word.
        fs::set_permissions(site.path("policy.toml"), fs::Permissions::from_mode(0o620)).expect("its mode is set");
        let refusal = reloader.reload(Cause::Files).await.expect_err("others may write it");
        assert!(refusal.message.contains("others may write it"), "{refusal:?}");
        assert!(!changes.has_changed().expect("the gate lives"), "nothing has changed");
        assert_eq!(lines(&site, "host.reload").len(), 1);
        assert!(site.verify_record().intact);
    });
}

#[test]
fn what_changed_in_a_policy_is_known_across_a_restart() {
    run(async {
        let (site, opened) = opened().await;
        let first = lines(&site, "policy.changed");
        assert_eq!(first.len(), 1, "the first policy is a change too");
        assert_eq!((&first[0]["from"], &first[0]["changes"]), (&Json::Null, &json!([])), "and here it is the defaults");
        drop(opened);
        drop(site.gate().await);
        assert_eq!(lines(&site, "policy.changed").len(), 1, "the same policy is no change");
        // Edited while nothing runs: other text, same meaning; then another meaning.
        site.write("policy.toml", "version = 1 # a remark\n[defaults]\nhigh = \"approve\"\n");
        drop(site.gate().await);
        assert_eq!(lines(&site, "policy.changed").len(), 1, "a remark is no change");
        site.write("policy.toml", &format!("{NO_UPTIME}[defaults]\nhigh = \"deny\"\n"));
        drop(site.gate().await);
        site.write("policy.toml", READS);
        drop(site.gate().await);
        let told: Vec<Json> = lines(&site, "policy.changed").into_iter().map(|line| line["changes"].clone()).collect();
        assert_eq!(
            told.get(1..),
            Some(
                &[
                    json!([
                        "default for risk `high`: approve → deny",
                        "rule `no uptime` added: deny; actions: postgres.uptime"
                    ]),
                    json!([
                        "default for risk `high`: deny → approve",
                        "rule `no uptime` removed: it was deny; actions: postgres.uptime"
                    ]),
                ][..]
            )
        );
        assert!(site.verify_record().intact);
    });
}

#[test]
fn packs_come_and_go_and_a_call_under_way_keeps_its_own() {
    run(async {
        let (site, Opened { gate, reloader, .. }) = opened().await;
        let kept = gate.rules();
        site.add(diagnose_pack().await);
        let reloaded = reloader.reload(Cause::Files).await.expect("both packs are sound");
        assert_eq!(reloaded.packs_in.len(), 1);
        assert_eq!(names(&gate), ["diagnose", "postgres"]);
        assert!(gate.offers(&principal()).iter().any(|offer| offer.name.starts_with("diagnose.")));
        let told = lines(&site, "host.reload").pop().expect("it is on the record");
        assert_eq!((&told["packs_in"][0]["pack"], &told["packs_out"]), (&json!("diagnose"), &json!([])));
        let admitted = lines(&site, "pack.admitted");
        assert_eq!(told["packs_in"][0]["digest"], admitted.last().expect("it is on the record")["digest"]);
        assert_eq!(admitted.len(), 2, "what was in already is not admitted anew");

        for file in fs::read_dir(site.path("packs")).expect("a directory") {
            let path = file.expect("a file").path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("postgres")) {
                fs::remove_file(path).expect("it is removed");
            }
        }
        reloader.reload(Cause::Files).await.expect("the other pack is sound");
        assert_eq!(names(&gate), ["diagnose"]);
        assert_eq!(uptime(&gate).await, Err(Code::UnknownAction));
        assert!(kept.catalog.get("postgres.uptime").is_some(), "whoever had it has it still");
        site.add(stock_pack().await);
        reloader.reload(Cause::Files).await.expect("both packs are sound");
        done(&gate, "postgres.uptime", "primary", json!({})).await;
    });
}

#[test]
fn a_pack_that_is_refused_stays_only_as_the_file_that_it_was() {
    run(async {
        let (site, Opened { gate, reloader, .. }) = opened().await;
        let component = site.add(stock_pack().await);
        reloader.reload(Cause::Files).await.expect("it is sound");

        // Half of an exchange: the envelope is not there yet.
        let signed = fs::read(envelope(&component)).expect("an envelope");
        fs::remove_file(envelope(&component)).expect("it is removed");
        let reloaded = reloader.reload(Cause::Files).await.expect("nothing else is wrong");
        assert_eq!(reloaded.refused.first().expect("it is refused").error.code, Code::EnvelopeMissing);
        assert!(!reloaded.is_change());
        assert_eq!(uptime(&gate).await, Ok(()), "its component is the one that was admitted");

        // Its component is another one.
        fs::write(envelope(&component), &signed).expect("the envelope is back");
        let bytes = fs::read(&component).expect("a component");
        fs::write(&component, [bytes.as_slice(), b"\0"].concat()).expect("it is changed");
        reloader.reload(Cause::Files).await.expect("nothing else is wrong");
        assert_eq!(uptime(&gate).await, Err(Code::UnknownAction));
        assert_eq!(lines(&site, "pack.refused").last().expect("on the record")["code"], json!("component_mismatch"));

        fs::write(&component, &bytes).expect("it is as it was");
        reloader.reload(Cause::Files).await.expect("it is sound");
        assert_eq!(uptime(&gate).await, Ok(()));

        // Unchanged, without its envelope, and not trusted any more.
        fs::remove_file(envelope(&component)).expect("it is removed");
        site.write("trust.toml", "version = 1\n");
        reloader.reload(Cause::Files).await.expect("the trust policy can be read");
        assert_eq!(names(&gate), Vec::<String>::new());
    });
}

#[test]
fn what_is_revoked_is_out_though_the_policy_is_broken() {
    run(async {
        let (site, Opened { gate, reloader, .. }) = opened().await;
        let digest = gate.rules().catalog.packs().next().expect("the stock pack").digest().to_owned();
        let (changes, policy) = (gate.changes(), gate.rules().policy.digest().to_owned());
        site.write("trust.toml", &format!("{}\n[revoked]\ndigests = [\"{digest}\"]\n", site.trust()));
        site.write("policy.toml", "version = 2\n");
        reloader.reload(Cause::Files).await.expect_err("the policy is broken");
        assert_eq!(uptime(&gate).await, Err(Code::UnknownAction));
        assert_eq!(gate.rules().policy.digest(), policy);
        assert!(changes.has_changed().expect("the gate lives"));
        let told = lines(&site, "host.reload_refused").pop().expect("it is on the record");
        assert_eq!((&told["packs_out"][0]["digest"], &told["code"]), (&json!(digest), &json!("config_invalid")));
        assert!(told["why_out"][0].as_str().expect("a text").contains("revoked"), "{told}");
    });
}

#[test]
fn an_approval_does_not_outlive_the_policy_it_was_asked_under() {
    run(async {
        let (site, Opened { gate, reloader, .. }) = opened().await;
        let victim = app("reloaded").await;
        let approval = held(&gate, "postgres.terminate_backend", "primary", json!({ "pid": victim.pid })).await;
        site.write("policy.toml", NO_UPTIME);
        reloader.reload(Cause::Files).await.expect("the policy is sound");
        site.approve(&approval).await;
        let (code, message) = refused(ended(&gate, &approval).await);
        assert_eq!(code, Code::TargetChanged, "{message}");
        assert!(victim.lives().await, "nothing was done");
        let closed = lines(&site, "approval.closed").pop().expect("it is on the record");
        assert_eq!(closed["state"], json!(State::Superseded.as_str()), "{closed}");
    });
}

#[test]
fn files_are_watched() {
    run(async {
        let (site, Opened { gate, reloader, .. }) = opened().await;
        let mut changes = gate.changes();
        let kept = startup::keep(reloader);
        let mut wanted = async |denied: bool| {
            let wait = async {
                while names(&gate).is_empty() || (uptime(&gate).await == Err(Code::UnknownAction)) != denied {
                    changes.changed().await.expect("the gate lives");
                }
            };
            tokio::time::timeout(PATIENCE, wait).await.expect("the edit is seen");
        };
        site.write("policy.toml", NO_UPTIME);
        wanted(true).await;
        site.write("policy.toml", READS);
        wanted(false).await;
        drop(kept);
    });
}

#[test]
fn a_hangup_is_heard_by_a_process_of_its_own_and_ends_nothing() {
    run(async {
        let site = site().await;
        let mut process = Command::new(env!("CARGO_BIN_EXE_lockgate_cli"))
            .arg("--config")
            .arg(site.path("lockgate.toml"))
            .arg("mcp")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("lockgate mcp can be started");
        let mut input = process.stdin.take().expect("its input");
        let mut output = BufReader::new(process.stdout.take().expect("its output")).lines();
        let mut ask = async |message: Json| {
            input.write_all(format!("{message}\n").as_bytes()).await.expect("it listens");
            tokio::time::timeout(PATIENCE, output.next_line()).await.expect("it answers").expect("a line")
        };
        // Once it answers it is up, and hears signals.
        let client = json!({ "name": "test", "version": "1" });
        let params = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client });
        let hello = ask(json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params })).await;
        assert!(hello.is_some_and(|line| line.contains("result")));
        site.write("policy.toml", NO_UPTIME);
        let pid = process.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw).expect("its id");
        kill_process(pid, Signal::HUP).expect("it can be told");
        let until = tokio::time::Instant::now() + PATIENCE;
        let told = loop {
            if let Some(told) = lines(&site, "host.reload").pop() {
                break told;
            }
            assert!(tokio::time::Instant::now() < until, "nothing was read again");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert_eq!(told["cause"], json!("signal"));
        assert!(process.try_wait().expect("it can be looked at").is_none(), "it lives");
        drop(input);
        let ended = tokio::time::timeout(PATIENCE, process.wait()).await.expect("it ends").expect("it has ended");
        assert!(ended.success(), "{ended}");
    });
}
