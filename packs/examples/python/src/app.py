"""Slow-query regressions: which statements have become slower than they were.

`baseline` puts what pg_stat_statements knows of the busiest statements into one short text. The caller keeps it (a deploy
pipeline, an agent, a runbook) and hands it back later; `regressions` then looks at what was executed since, and only at that.
"""

import lockgate
from snapshot import MAX_STATEMENTS, PATTERN, Sample, read_baseline, slower, write_baseline

EXTENSION = "pg_stat_statements"
PRIVILEGES = ["pg_monitor", f"extension {EXTENSION}"]
COLUMNS = {
    "query_id": "text",
    "calls": "integer",
    "total_ms": "number",
    "squares": "number",
    "query": "query",
}


def counters(time):
    """A statement may be there more than once, by user and by level. The sum of squares makes a deviation that can be split."""
    return f"""
        SELECT s.queryid::text AS query_id, pg_catalog.sum(s.calls)::int8 AS calls,
               pg_catalog.sum(s.total_{time})::float8 AS total_ms,
               pg_catalog.sum(s.calls * (s.stddev_{time} * s.stddev_{time} + s.mean_{time} * s.mean_{time}))::float8 AS squares,
               pg_catalog.min(s.query) AS query
          FROM :"extension_schema".pg_stat_statements AS s
          JOIN pg_catalog.pg_database AS d ON d.oid = s.dbid
         WHERE d.datname = pg_catalog.current_database() AND s.queryid IS NOT NULL
         GROUP BY s.queryid
         ORDER BY pg_catalog.sum(s.total_{time}) DESC, s.queryid
         LIMIT $1::int8
    """


STATEMENTS = lockgate.read(
    "statements",
    inputs={"limit": "integer"},
    columns=COLUMNS,
    variants=[
        lockgate.Variant(counters("time"), extension=EXTENSION, extension_below="1.8"),
        lockgate.Variant(counters("exec_time"), extension=EXTENSION, extension_min="1.8"),
    ],
    max_rows=5000,
)

SEES_OTHERS = lockgate.read(
    "sees_others",
    columns={"sees_others": "boolean"},
    sql="SELECT pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') AS sees_others",
    max_rows=1,
)

pack = lockgate.Pack("regressions", "1.0.0", "Which statements have become slower than they were")


def counted(statements):
    return f"{statements} statement" + "s" * (statements != 1)


def samples(call, limit):
    if not call.execute(SEES_OTHERS).first()["sees_others"]:
        raise lockgate.MissingPrivilege("the role can't see other people's statements: grant it pg_monitor")
    rows = call.execute(STATEMENTS, limit=limit)
    return {row["query_id"]: (Sample(row["calls"], row["total_ms"], row["squares"]), row["query"]) for row in rows}


@pack.action(
    "Baseline of statements",
    statements=[SEES_OTHERS, STATEMENTS],
    params={"limit": lockgate.integer(1, MAX_STATEMENTS, default=MAX_STATEMENTS, description="How many statements")},
    privileges=PRIVILEGES,
    search_terms=["before the deploy", "snapshot of query times", "performance baseline"],
    examples=[("we deploy in a minute; how fast is it now?", {})],
)
def baseline(call):
    """What the statements that take the most time take now, as one short text: keep it, and give it to `regressions` later, as
    after a deploy. It holds numbers only, no text of any query. Of the database that the target connects to."""
    now = samples(call, call["limit"])
    if not now:
        raise lockgate.NotFound("pg_stat_statements has not seen a statement in this database yet")
    text = write_baseline({query_id: sample for query_id, (sample, _) in now.items()})
    table = lockgate.Built({"statements": "integer", "baseline": "text"}, [{"statements": len(now), "baseline": text}])
    return lockgate.Outcome("a baseline of the busiest statements: give it to `regressions` as it is", tables={"Baseline": table})


@pack.action(
    "Slow-query regressions",
    statements=[SEES_OTHERS, STATEMENTS],
    params={
        "baseline": lockgate.text(1000, PATTERN, description="What `baseline` answered before"),
        "factor": lockgate.number(1.05, 100, default=1.5, description="How many times slower on average counts"),
        "min_calls": lockgate.integer(2, 100_000, default=10, description="Only statements that ran so often since"),
    },
    privileges=PRIVILEGES,
    search_terms=["slower than before", "slow since the deploy", "regression", "query got slower", "performance regression"],
    examples=[("everything is slower since the deploy; which queries?", {"baseline": "v1~3w5e.2s.1a0.b4"})],
)
def regressions(call):
    """Statements whose mean execution time since the baseline is `factor` times what it was, or more: the one that has cost the
    most time since first. sigmas says how far beyond chance that is (Welch's t): under 3 it may well be noise. Statements that
    were not among the busiest at the baseline are not compared."""
    before = read_baseline(call["baseline"])
    now = samples(call, 5000)
    rows, reset, quiet = [], 0, 0
    for query_id, then in before.items():
        sample, query = now.get(query_id, (None, None))
        if sample is None or sample.calls < then.calls:
            reset += 1
            continue
        since = sample - then
        if since.calls < call["min_calls"]:
            quiet += 1
            continue
        found = slower(then, since)
        if found.factor >= call["factor"]:
            rows.append(
                {
                    "query_id": query_id,
                    "factor": round(found.factor, 2),
                    "sigmas": round(found.sigmas, 1),
                    "mean_ms_before": round(then.mean, 3),
                    "mean_ms_since": round(since.mean, 3),
                    "calls_since": since.calls,
                    "extra_ms": round((since.mean - then.mean) * since.calls, 1),
                    "query": query,
                }
            )
    rows.sort(key=lambda row: -row["extra_ms"])
    columns = {name: "number" for name in ("factor", "sigmas", "mean_ms_before", "mean_ms_since")}
    columns = {"query_id": "text", **columns, "calls_since": "integer", "extra_ms": "number", "query": "query"}
    notices = []
    if reset:
        notices.append(f"gone since the baseline, or counted anew (their statistics were reset or evicted): {counted(reset)}")
    if quiet:
        notices.append(f"too seldom run since the baseline to be compared: {counted(quiet)}")
    sure = sum(row["sigmas"] >= 3 for row in rows)
    return lockgate.Outcome(
        f"slower than they were: {len(rows)} of {counted(len(before))}",
        tables={"Slower statements": lockgate.Built(columns, rows)},
        notices=notices,
        findings=[("warning", f"slower beyond chance: {counted(sure)}")] if sure else [],
    )


@regressions.validate
def check(call):
    try:
        read_baseline(call["baseline"])
    except ValueError as error:
        yield "baseline", str(error)


Actions = pack.exports()
