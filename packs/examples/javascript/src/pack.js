// Table bloat, estimated from the catalogs alone: how much of a table's file its rows can't account for.
//
// The usual estimate takes average widths from pg_stats, which holds samples of users' rows and is closed to packs. Here a
// row's width is laid out column by column as PostgreSQL would, which is exact where all columns have a fixed width; for the
// others the caller says what a value takes on average.
import { Built, definePack, integer, number, read } from './lockgate.js';
import { expectedBytes } from './layout.js';

const MIB = 1024 * 1024;

const tables = read('tables', {
  inputs: { min_mib: 'integer' },
  columns: {
    schema_name: 'text',
    table_name: 'text',
    pages: 'integer',
    live_rows: 'number',
    dead_rows: 'integer',
    fillfactor: 'integer',
    block_size: 'integer',
    layout: 'text',
  },
  // Pages and rows of pg_class were counted by the same VACUUM or ANALYZE, so they fit each other, and reading them opens no
  // table, which could wait for a lock.
  sql: `
    SELECT n.nspname::text AS schema_name, c.relname::text AS table_name, c.relpages::int8 AS pages,
           c.reltuples::float8 AS live_rows, pg_catalog.pg_stat_get_dead_tuples(c.oid)::int8 AS dead_rows,
           COALESCE((SELECT o.option_value
                       FROM pg_catalog.pg_options_to_table(c.reloptions) AS o(option_name, option_value)
                      WHERE o.option_name = 'fillfactor')::int8, 100) AS fillfactor,
           pg_catalog.current_setting('block_size')::int8 AS block_size,
           (SELECT pg_catalog.string_agg(pg_catalog.concat(a.attlen, a.attalign), ',' ORDER BY a.attnum)
              FROM pg_catalog.pg_attribute AS a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS layout
      FROM pg_catalog.pg_class AS c
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'm') AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg!_%' ESCAPE '!'
       AND c.relpages > 0
       AND c.relpages::int8 * pg_catalog.current_setting('block_size')::int8 >= $1::int8 * 1048576
     ORDER BY c.relpages DESC, n.nspname, c.relname
     LIMIT 1000
  `,
  maxRows: 1000,
});

const columns = {
  schema_name: 'text',
  table_name: 'text',
  mib: 'number',
  expected_mib: 'number',
  bloat_mib: 'number',
  bloat_percent: 'number',
  live_rows: 'integer',
  dead_rows: 'integer',
  varying_columns: 'integer',
};

const counted = (count, one, many) => `${count} ${count === 1 ? one : many}`;

const rounded = (value) => Math.round(value * 10) / 10;

function estimate(row, textBytes) {
  const bytes = row.pages * row.block_size;
  const { expected, varying } = expectedBytes(row, textBytes);
  const bloat = Math.max(0, bytes - expected);
  return {
    schema_name: row.schema_name,
    table_name: row.table_name,
    mib: rounded(bytes / MIB),
    expected_mib: rounded(expected / MIB),
    bloat_mib: rounded(bloat / MIB),
    bloat_percent: rounded((100 * bloat) / bytes),
    live_rows: Math.round(row.live_rows),
    dead_rows: row.dead_rows,
    varying_columns: varying,
  };
}

export const actions = definePack({
  name: 'bloat',
  version: '1.0.0',
  summary: 'How much of the space that tables take their rows can not account for',
  actions: {
    table_bloat: {
      title: 'Table bloat',
      description: `
        Tables by the space that their live rows don't account for, the most first, as of their last VACUUM or ANALYZE. Exact to
        a few percent where varying_columns is 0; otherwise it rests on text_bytes, the average size of a value of such a
        column. NULLs and what is stored out of line make the true bloat larger than shown. VACUUM makes the space usable
        again for the same table; only a rewrite gives it back to the system.`,
      params: {
        limit: integer(1, 200, { default: 20, description: 'How many tables' }),
        min_mib: integer(0, 1_000_000, { default: 1, description: 'Only tables of this size or more' }),
        text_bytes: integer(1, 2000, { default: 24, description: 'What a value of varying size takes on average' }),
        min_percent: number(0, 100, { default: 0, description: 'Only tables with this share of bloat or more' }),
      },
      statements: [tables],
      searchTerms: ['bloat', 'wasted space', 'table bloat', 'dead space', 'table too big', 'vacuum full candidates'],
      examples: [
        { situation: 'the disk fills up although we delete rows', arguments: {} },
        { situation: 'which large tables are more than half empty?', arguments: { min_mib: 100, min_percent: 50 } },
      ],
      run(call) {
        const { limit, text_bytes: textBytes, min_percent: minPercent } = call.arguments;
        const all = call.execute(tables).objects();
        // -1 until the first VACUUM or ANALYZE (0 before PostgreSQL 14).
        const known = all.filter((row) => row.live_rows > 0 || (row.live_rows === 0 && row.dead_rows > 0));
        const estimates = known
          .map((row) => estimate(row, textBytes))
          .filter((row) => row.bloat_percent >= minPercent)
          .sort((a, b) => b.bloat_mib - a.bloat_mib);
        const sum = estimates.reduce((total, row) => total + row.bloat_mib, 0);
        const half = estimates.filter((row) => row.bloat_percent >= 50 && row.bloat_mib >= 100).length;
        const uncounted = all.length - known.length;
        return {
          summary: `${counted(estimates.length, 'table', 'tables')} with an estimated ${rounded(sum)} MiB of bloat in all`,
          tables: { 'Tables by bloat': new Built(columns, estimates.slice(0, limit)) },
          notices: uncounted === 0 ? [] : [`left out, as never analyzed or empty: ${counted(uncounted, 'table', 'tables')}`],
          findings:
            half === 0 ? [] : [{ severity: 'warning', text: `more than half empty, by 100 MiB or more: ${counted(half, 'table', 'tables')}` }],
        };
      },
    },
  },
});
