//! The pack's statements are proven, and PostgreSQL agrees: each wording is prepared on a real server with an empty search
//! path, and gives the columns that were declared. The manifest is the built component's own.

use std::collections::{BTreeMap, btree_map::Entry};

use lockgate::{
    postgres::throwaway::Cluster,
    statement::{Class, InputKind, Mode, Role, Statement, Variant},
    value::ColumnKind,
};
use lockgate_tests::AGENT;
use tokio_postgres::{Client, NoTls, types::Type};

use crate::world::{run, world};

/// A session as the gate opens its own.
async fn guarded(cluster: &Cluster, dbname: &str) -> Client {
    let mut config = cluster.superuser();
    config.user(AGENT).dbname(dbname).options("-c search_path= -c default_transaction_read_only=on");
    let (client, connection) = config.connect(NoTls).await.expect("a session");
    tokio::spawn(connection);
    client
}

/// The text with its identifiers filled in by hand: names with everything in them that a quoted name may have.
fn filled(statement: &Statement, variant: &Variant) -> String {
    let mut sql = variant.sql.replace(":\"extension_schema\"", "\"public\"");
    for input in statement.inputs.iter().filter(|input| input.kind == InputKind::Identifier) {
        sql = sql.replace(&format!(":\"{}\"", input.name), "\"Some \"\"odd\"\" name\"");
    }
    assert!(!sql.contains(":\""), "{}: {sql}", statement.id);
    sql
}

fn is_of(kind: ColumnKind, column: &Type) -> bool {
    match kind {
        ColumnKind::Boolean => *column == Type::BOOL,
        ColumnKind::Integer => [Type::INT2, Type::INT4, Type::INT8, Type::OID].contains(column),
        ColumnKind::Number => [Type::FLOAT4, Type::FLOAT8].contains(column),
        ColumnKind::Text | ColumnKind::Query => [Type::TEXT, Type::VARCHAR, Type::NAME].contains(column),
    }
}

fn is_input(kind: InputKind, parameter: &Type) -> bool {
    *parameter
        == match kind {
            InputKind::Boolean => Type::BOOL,
            InputKind::Integer => Type::INT8,
            InputKind::Number => Type::FLOAT8,
            InputKind::Text => Type::TEXT,
            InputKind::Integers => Type::INT8_ARRAY,
            InputKind::Texts => Type::TEXT_ARRAY,
            InputKind::Identifier => panic!("an identifier is not bound"),
        }
}

async fn prepares(client: &Client, statement: &Statement, variant: &Variant) {
    let sql = filled(statement, variant);
    let prepared = client.prepare(&sql).await.unwrap_or_else(|e| panic!("{}: {e:?}\n{sql}", statement.id));
    let id = &statement.id;
    if statement.mode != Mode::Maintain {
        let names: Vec<_> = prepared.columns().iter().map(tokio_postgres::Column::name).collect();
        let declared: Vec<_> = statement.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, declared, "{id}");
        for (column, declared) in prepared.columns().iter().zip(&statement.columns) {
            assert!(is_of(declared.kind, column.type_()), "{id}: {} is {}", column.name(), column.type_());
        }
    }
    let bound: Vec<_> = statement.inputs.iter().filter(|input| input.kind != InputKind::Identifier).collect();
    assert_eq!(prepared.params().len(), bound.len(), "{id}");
    for (parameter, input) in prepared.params().iter().zip(bound) {
        assert!(is_input(input.kind, parameter), "{id}: {} is {parameter}", input.name);
    }
}

/// A version as it is compared.
fn version(text: &str) -> Vec<u32> {
    text.split('.').map(|part| part.parse().expect("a number")).collect()
}

#[test]
fn every_wording_is_proven_and_prepares_with_an_empty_search_path() {
    run(async {
        let world = world().await;
        let major = world.primary.major();
        let pack = world.gate.catalog().packs().next().expect("the stock pack");
        let manifest = pack.manifest().manifest();
        assert_eq!(manifest.name, "postgres");
        assert!(manifest.actions.len() >= 18, "{} actions", manifest.actions.len());
        let wanted = [Class::Read, Class::Maintain, Class::Signal].into();
        assert_eq!(pack.manifest().classes(), &wanted, "no data, no writes");

        // The extension as it comes, and as it was before 1.8 for those who never updated it.
        world.primary.execute("CREATE DATABASE old_extension").await.unwrap();
        let old = "CREATE EXTENSION pg_stat_statements VERSION '1.7'";
        world.primary.execute_in("old_extension", old).await.unwrap();
        let installed = [("shop", "1.10"), ("old_extension", "1.7")];
        let servers = [(Role::Primary, world.primary), (Role::Standby, &world.standby)];

        let mut clients = BTreeMap::new();
        let mut seen = 0;
        for statement in &manifest.statements {
            for variant in &statement.variants {
                if variant.min_version > major {
                    continue;
                }
                let databases: Vec<_> = match &variant.extension {
                    None => vec!["shop"],
                    Some(range) => installed
                        .iter()
                        .filter(|(_, has)| range.min.is_empty() || version(has) >= version(&range.min))
                        .filter(|(_, has)| range.below.is_empty() || version(has) < version(&range.below))
                        .map(|(database, _)| *database)
                        .collect(),
                };
                for (role, cluster) in &servers {
                    if variant.role != Role::Any && variant.role != *role {
                        continue;
                    }
                    for database in &databases {
                        let key = (*role as u8, *database);
                        if let Entry::Vacant(place) = clients.entry(key) {
                            // The standby replays what was made a moment ago.
                            let there = format!("SELECT count(*) FROM pg_database WHERE datname = '{database}'");
                            cluster.wait_for(&there, "1", crate::world::PATIENCE).await.unwrap();
                            place.insert(guarded(cluster, database).await);
                        }
                        prepares(&clients[&key], statement, variant).await;
                        seen += 1;
                    }
                }
            }
        }
        let statements = manifest.statements.len();
        assert!(seen >= 2 * statements - 10, "{seen} of {statements} statements on two servers");
    });
}
