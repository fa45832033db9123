//! `lockgate doctor` on a role with nothing, with `pg_monitor` only and with everything, as text and as JSON.

use std::process::Stdio;

use lockgate_tests::{session::run, site::Site};
use serde_json::Value as Json;
use tokio::process::Command;

use super::Place;
use crate::world::for_each_world;

/// What the doctor says of one target.
pub(super) struct Told {
    /// What would let the rest run.
    pub(super) sql: Vec<String>,
    /// The actions that can't run.
    pub(super) hindered: Vec<String>,
    /// The line about the target as a whole.
    summary: Json,
}

async fn doctor(site: &Site, more: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockgate_cli"));
    command.arg("--config").arg(site.path("lockgate.toml")).arg("doctor").args(more);
    command.env("LOCKGATE_LOG", "warn").stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.expect("lockgate can be started");
    let (out, err) = (String::from_utf8(output.stdout), String::from_utf8(output.stderr));
    let (out, err) = (out.expect("UTF-8"), err.expect("UTF-8"));
    println!("{out}{err}");
    assert!(output.status.success() && err.is_empty(), "what is missing is no failure: {out}{err}");
    out
}

/// What the doctor tells a program of a target.
pub(super) async fn told(site: &Site, target: &str) -> Told {
    let out = doctor(site, &["--json"]).await;
    let about = format!("target {target}");
    let lines: Vec<Json> = out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let lines: Vec<Json> = lines.into_iter().filter(|line| line["about"] == *about).collect();
    let summary = lines.iter().find(|line| line["can_run"].is_number()).expect("a summary").clone();
    let actions: Vec<&Json> = lines.iter().filter(|line| line["action"].is_string()).collect();
    assert_eq!(Json::from(actions.len()), summary["actions"], "a line for each action");
    let runs = actions.iter().filter(|line| line["runs"] == true).count();
    assert_eq!(Json::from(runs), summary["can_run"]);
    for line in &actions {
        let hindrances = line["hindrances"].as_array().expect("hindrances");
        assert_eq!(line["runs"] == true, hindrances.is_empty(), "{line}");
    }
    let text = |value: &Json| value.as_str().expect("a text").to_owned();
    Told {
        sql: summary["sql"].as_array().expect("statements").iter().map(text).collect(),
        hindered: actions.iter().filter(|line| line["runs"] == false).map(|line| text(&line["action"])).collect(),
        summary,
    }
}

/// The lines of the text about one target's actions, without their indentation, up to the next target.
fn of_target(out: &str, target: &str) -> Vec<String> {
    let head = |line: &&str| line.contains(&format!("target {target} ")) && line.contains("actions can run");
    let mut lines = out.lines().skip_while(|line| !head(line));
    let first = lines.next().expect("a line about the target's actions").to_owned();
    let rest = lines.take_while(|line| line.starts_with("         ")).map(|line| line.trim().to_owned());
    std::iter::once(first).chain(rest).collect()
}

#[test]
fn the_doctor_says_what_a_role_can_run_and_what_would_let_it_run_the_rest() {
    run(for_each_world(async |world| {
        let database = "privileges_doctor";
        world
            .primary
            .execute("CREATE ROLE \"No One\" LOGIN; CREATE ROLE looks LOGIN IN ROLE pg_monitor")
            .await
            .expect("roles");
        let targets = [
            world.primary.target("nothing", "No One", database),
            world.primary.target("looks", "looks", database),
            world.standby.target("looks-there", "looks", database),
        ];
        let place = Place::new(&world.primary, database, &targets).await;
        world.caught_up().await;
        let out = doctor(&place.site, &[]).await;

        // With nothing: what anybody may know runs, and nothing else; the grants for the rest are ready to be pasted.
        let nothing = of_target(&out, "nothing");
        assert!(nothing[0].starts_with("warning  target nothing"), "{nothing:#?}");
        let said = told(&place.site, "nothing").await;
        for action in
            ["postgres.activity_detail", "postgres.cancel_query", "postgres.slow_queries", "postgres.vacuum_table"]
        {
            assert!(said.hindered.iter().any(|hindered| hindered == action), "{action}: {:?}", said.hindered);
        }
        assert!(!said.hindered.iter().any(|hindered| hindered == "postgres.is_in_recovery"));
        let maintain = if world.major >= 17 { "GRANT pg_maintain TO \"No One\";" } else { "GRANT app TO \"No One\";" };
        for statement in [
            "CREATE EXTENSION pg_stat_statements;",
            "GRANT pg_monitor TO \"No One\";",
            "GRANT pg_signal_backend TO \"No One\";",
            "GRANT USAGE ON SCHEMA sales TO \"No One\";",
            maintain,
        ] {
            assert!(said.sql.iter().any(|sql| sql == statement), "{statement}: {:?}", said.sql);
            assert!(nothing.iter().any(|line| line == statement), "{statement}: {nothing:#?}");
        }
        assert!(nothing.iter().any(|line| line.contains("role \"No One\" may maintain 0 of 2 tables")), "{nothing:#?}");
        // Compact for people: the reasons with a few names each, and not a line for each action.
        assert!(nothing.len() <= 45, "{nothing:#?}");
        assert!(nothing.iter().all(|line| line.chars().count() <= 100 || line.starts_with("GRANT")), "{nothing:#?}");

        // With pg_monitor only: not again what it has.
        let looks = of_target(&out, "looks");
        assert!(!looks.iter().any(|line| line.contains("pg_monitor")), "{looks:#?}");
        assert!(looks.iter().any(|line| line == "GRANT pg_signal_backend TO looks;"), "{looks:#?}");

        // The standby: what can't run there can't, whatever is granted; and what is granted is granted on the primary.
        let there = of_target(&out, "looks-there");
        assert!(there.iter().any(|line| line.contains("runs on a primary only")), "{there:#?}");
        assert!(there.join(" ").contains("on the primary:"), "{there:#?}");
        assert!(!there.iter().any(|line| line.contains("may maintain")), "{there:#?}");

        // With all of it: pasted, line by line.
        for statement in &said.sql {
            place.grant(statement).await;
        }
        let after = told(&place.site, "nothing").await;
        assert_eq!(after.sql, Vec::<String>::new());
        assert_eq!(after.summary["level"], "ok", "{}", after.summary);
        assert_eq!(after.summary["maintains"]["vacuums"], 2, "{}", after.summary);
        assert_eq!(after.summary["maintains"]["rebuilds"], 2, "{}", after.summary);
        let lines = of_target(&doctor(&place.site, &[]).await, "nothing");
        assert!(lines[0].starts_with("ok       target nothing"), "{lines:#?}");
    }));
}

#[test]
fn a_maintenance_credential_that_does_not_get_in_is_a_failure() {
    run(for_each_world(async |world| {
        let mut target = world.primary.target("kept", "agent", "postgres");
        target.maintenance = Some(toml::from_str("user = \"nobody_there\"").expect("settings"));
        let site = Site::with_stock_pack(&[target], "").await;
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockgate_cli"));
        command.arg("--config").arg(site.path("lockgate.toml")).arg("doctor").stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await.expect("lockgate can be started");
        let out = String::from_utf8(output.stdout).expect("UTF-8");
        assert_eq!(output.status.code(), Some(1), "{out}");
        assert!(out.contains("the maintenance credential does not get in"), "{out}");
    }));
}
