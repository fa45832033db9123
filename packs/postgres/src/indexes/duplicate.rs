//! Indexes that are there twice.

use lockgate_pack::{Action, Call, Failure, Outcome};
use lockgate_pack_shared::{
    indexes::duplicate::DUPLICATE_READ,
    words::{counted, size},
};

use crate::common::listed;

pub(crate) static DUPLICATE_INDEXES: Action = Action::read("duplicate_indexes")
    .title("Duplicate indexes")
    .description(
        "Each index that could go because another of its table does the same, with the one that stays and the bytes it would \
         give back, the largest first. The same means: access method, columns with those included, operator classes, collations, \
         ASC, DESC and NULLS, expressions, predicate, and an equal or stricter uniqueness. The one named is never that of a \
         primary key, of an exclusion constraint or a replica identity, nor one that a foreign key rests on; where it is a \
         unique constraint's, beside another constraint's, constraint_name says what would be dropped. Prefixes of longer indexes \
         are not duplicates. Bytes of an index of a partitioned table are those of all its partitions.",
    )
    .statements(&[&DUPLICATE_READ])
    .search_terms(&[
        "redundant index",
        "same index twice",
        "overlapping indexes",
        "identical indexes",
        "same columns",
        "superfluous index",
    ])
    .examples(&[("are we paying twice for the same index?", "{}")])
    .run(duplicate);

fn duplicate(call: &Call<'_>) -> Result<Outcome, Failure> {
    let rows = call.execute(&DUPLICATE_READ)?;
    let bytes = rows.integers("bytes")?.into_iter().sum();
    Ok(listed(call, rows, 200, "Indexes that could go", |count| match count {
        0 => "no index does what another one does".into(),
        _ => format!(
            "{} {} what another one does, {} in all",
            counted(count, "index", "indexes"),
            if count == 1 { "does" } else { "do" },
            size(bytes)
        ),
    }))
}
