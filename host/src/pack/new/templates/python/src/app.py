"""The pack `{{name}}`. An action is what an agent may do; a statement is the SQL that it may ask for, and nothing else is."""

import lockgate

# Every object with its schema, every input with its cast, columns named as declared. Where servers differ, give several
# `variants`: exactly one must fit each server.
LARGEST = lockgate.read(
    "largest_tables",
    inputs={"schema": "text", "limit": "integer"},
    columns={"table_name": "text", "bytes": "integer"},
    sql="""
        SELECT c.relname::text AS table_name, pg_catalog.pg_total_relation_size(c.oid)::int8 AS bytes
          FROM pg_catalog.pg_class AS c
          JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
         WHERE n.nspname = $1::text AND c.relkind = 'r'
         ORDER BY bytes DESC, table_name
         LIMIT $2::int8
    """,
)

pack = lockgate.Pack("{{name}}", "0.1.0", "What takes up the space")


@pack.action(
    "Largest tables",
    statements=[LARGEST],
    params={
        "schema": lockgate.identifier(default="public", description="The schema to look at"),
        "limit": lockgate.integer(1, 100, default=10, description="How many tables"),
    },
    search_terms=["disk full", "table size", "what takes the space"],
    examples=[("the disk is filling up; what is big?", {"limit": 5})],
)
def largest_tables(call):
    """The largest tables of a schema, with their indexes and TOAST. Use it when a disk fills up."""
    # Inputs are taken by name from the arguments. Handed on like this, no row enters the component.
    rows = call.execute(LARGEST)
    return lockgate.Outcome(f"tables of the schema by size: {len(rows)}", tables={"Tables": rows})


Actions = pack.exports()
