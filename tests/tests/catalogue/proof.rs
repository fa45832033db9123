//! The packs' statements are proven, and PostgreSQL agrees: each wording is prepared on a real server of each version with an
//! empty search path, and gives the columns that were declared; those for an extension with every version of it that the
//! server can install. The manifests are the built components' own.

use std::{collections::BTreeSet, sync::Mutex};

use lockgate::{
    postgres::throwaway::Cluster,
    statement::{Class, InputKind, Mode, Role, Statement},
    value::ColumnKind,
};
use lockgate_tests::{AGENT, session::run};
use tokio_postgres::{Client, NoTls, types::Type};

use crate::{
    wordings::{Place, filled, statements},
    world::{World, for_each_world, worlds},
};

/// Where extensions of other versions are installed.
const DATABASE: &str = "proof";

/// A session as the gate opens its own.
async fn guarded(cluster: &Cluster) -> Client {
    let mut config = cluster.superuser();
    config.user(AGENT).dbname(DATABASE).options("-c search_path= -c default_transaction_read_only=on");
    let (client, connection) = config.connect(NoTls).await.expect("a session");
    tokio::spawn(connection);
    client
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

async fn prepares(client: &Client, statement: &Statement, sql: &str) {
    let prepared = client.prepare(sql).await.unwrap_or_else(|e| panic!("{}: {e:?}\n{sql}", statement.id));
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

/// Prepares the wordings of a statement that are for this server, and says which they are.
async fn prepare_all(client: &Client, place: Place<'_>, statement: &Statement) -> BTreeSet<usize> {
    let mut prepared = BTreeSet::new();
    for (index, variant) in statement.variants.iter().enumerate() {
        if place.suits(variant) {
            // A name with everything in it that a quoted name may have.
            prepares(client, statement, &filled(statement, variant, "\"Some \"\"odd\"\" name\"")).await;
            prepared.insert(index);
        }
    }
    assert!(prepared.len() <= 1 || statement.variants.iter().any(|v| v.extension.is_some()), "{}", statement.id);
    prepared
}

/// The versions of an extension that a server can install.
async fn installable(world: &World, extension: &str) -> Vec<String> {
    let client = world.primary.connect().await.expect("a session");
    let sql = "SELECT version FROM pg_available_extension_versions WHERE name = $1";
    let rows = client.query(sql, &[&extension]).await.expect("versions");
    assert!(!rows.is_empty(), "{extension} is not there to be tested with");
    rows.iter().map(|row| row.get(0)).collect()
}

/// Prepares, on one version, every wording for it; says which they are, by statement and number.
async fn prepare_world(world: &World) -> BTreeSet<(usize, usize)> {
    world.database(DATABASE).await;
    let (primary, standby) = (guarded(&world.primary).await, guarded(&world.standby).await);
    let servers = [(Role::Primary, &primary), (Role::Standby, &standby)];
    let statements = statements(&world.gate);
    let mut seen = BTreeSet::new();
    for (number, statement) in statements.iter().enumerate() {
        for (role, client) in servers {
            let place = Place { major: world.major, role, extensions: &[] };
            let prepared = prepare_all(client, place, statement).await;
            seen.extend(prepared.into_iter().map(|wording| (number, wording)));
        }
    }
    let wanted = |statement: &Statement| statement.variants.iter().find_map(|v| Some(v.extension.clone()?.name));
    for extension in statements.iter().filter_map(|statement| wanted(statement)).collect::<BTreeSet<_>>() {
        for version in installable(world, &extension).await {
            let create = format!(
                "DROP EXTENSION IF EXISTS {extension}; CREATE EXTENSION {extension} SCHEMA public VERSION '{version}'"
            );
            world.primary.execute_in(DATABASE, &create).await.expect("an extension");
            world.caught_up().await;
            let extensions = [(extension.clone(), version)];
            for (number, statement) in statements.iter().enumerate() {
                for (role, client) in servers.into_iter().filter(|_| wanted(statement).as_ref() == Some(&extension)) {
                    let place = Place { major: world.major, role, extensions: &extensions };
                    let prepared = prepare_all(client, place, statement).await;
                    seen.extend(prepared.into_iter().map(|wording| (number, wording)));
                }
            }
        }
    }
    seen
}

#[test]
fn every_wording_prepares_with_an_empty_search_path() {
    run(async {
        let seen = Mutex::new(BTreeSet::new());
        for_each_world(async |world| {
            let prepared = prepare_world(world).await;
            seen.lock().expect("no panic before").extend(prepared);
        })
        .await;
        // None was left out that is for one of these versions.
        let seen = seen.into_inner().expect("no panic before");
        let worlds = worlds().await;
        for (number, statement) in statements(&worlds[0].gate).into_iter().enumerate() {
            for (index, variant) in statement.variants.iter().enumerate() {
                let suits = |major| {
                    variant.min_version <= major && (variant.below_version == 0 || major < variant.below_version)
                };
                let left_out = worlds.iter().any(|world| suits(world.major)) && !seen.contains(&(number, index));
                assert!(!left_out, "{}: wording {} was prepared nowhere", statement.id, index + 1);
            }
        }
    });
}

#[test]
fn the_stock_packs_touch_no_data_and_the_diagnoses_only_read() {
    run(for_each_world(async |world| {
        let rules = world.gate.rules();
        let names = rules.catalog.packs().map(|pack| pack.manifest().manifest().name.as_str());
        assert_eq!(BTreeSet::from_iter(names), ["diagnose", "postgres"].into());
        for pack in rules.catalog.packs() {
            let wanted = match pack.manifest().manifest().name.as_str() {
                "diagnose" => [Class::Read].into(),
                _ => [Class::Read, Class::Maintain, Class::Signal].into(),
            };
            assert_eq!(pack.manifest().classes(), &wanted);
        }
    }));
}
