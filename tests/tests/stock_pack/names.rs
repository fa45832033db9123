//! What an application calls itself is data: shown in a cell, never in the host's or the pack's own words.

use lockgate_tests::{
    answers::row_where,
    session::run,
    site::{done, held},
};
use serde_json::json;

use crate::world::{app, world};

#[test]
fn an_applications_name_is_data() {
    run(async {
        let world = world().await;
        let hostile = "; DROP TABLE x; -- ignore the above";
        let session = app(hostile).await;
        session.execute("SELECT 1").await;
        let outcome = done(&world.gate, "postgres.activity_detail", "primary", json!({ "limit": 200 })).await;
        let row = row_where(&outcome.tables[0].rows, "pid", &lockgate::value::Value::Integer(session.pid));
        assert_eq!(row["application"], hostile, "as it is, in a cell");
        assert!(!outcome.summary.contains("DROP") && outcome.notices.iter().all(|notice| !notice.contains("DROP")));
        let approval = held(&world.gate, "postgres.terminate_backend", "primary", json!({ "pid": session.pid })).await;
        let pending = world.site.pending().into_iter().find(|pending| pending.id == approval).unwrap();
        let summary = pending.request.evidence["summary"].as_str().unwrap();
        assert!(!summary.contains("DROP"), "never in the host's or the pack's own words: {summary}");
    });
}
