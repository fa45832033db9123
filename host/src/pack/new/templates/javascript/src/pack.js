// The pack `{{name}}`. An action is what an agent may do; a statement is the SQL that it may ask for, and nothing else is.
import { definePack, identifier, integer, read } from './lockgate.js';

const largest = read('largest_tables', {
  inputs: { schema: 'text', limit: 'integer' },
  columns: { table_name: 'text', bytes: 'integer' },
  // Every object with its schema, every input with its cast, columns named as declared. Where servers differ, give several
  // `variants`: exactly one must fit each server.
  sql: `
    SELECT c.relname::text AS table_name, pg_catalog.pg_total_relation_size(c.oid)::int8 AS bytes
      FROM pg_catalog.pg_class AS c
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE n.nspname = $1::text AND c.relkind = 'r'
     ORDER BY bytes DESC, table_name
     LIMIT $2::int8
  `,
});

export const actions = definePack({
  name: '{{name}}',
  version: '0.1.0',
  summary: 'What takes up the space',
  actions: {
    largest_tables: {
      title: 'Largest tables',
      description: 'The largest tables of a schema, with their indexes and TOAST. Use it when a disk fills up.',
      params: {
        schema: identifier({ default: 'public', description: 'The schema to look at' }),
        limit: integer(1, 100, { default: 10, description: 'How many tables' }),
      },
      statements: [largest],
      searchTerms: ['disk full', 'table size', 'what takes the space'],
      examples: [{ situation: 'the disk is filling up; what is big?', arguments: { limit: 5 } }],
      run(call) {
        // Inputs are taken by name from the arguments. Handed on like this, no row enters the component.
        const rows = call.execute(largest);
        return { summary: `tables of the schema by size: ${rows.count}`, tables: { Tables: rows } };
      },
    },
  },
});
