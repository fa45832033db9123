/**
 * Lockgate packs in JavaScript: what a pack declares, and what its code is given.
 *
 * A pack is a set of actions. An action runs only statements that it declares, on behalf of an agent whose arguments the host
 * has checked. `definePack` turns plain objects and functions into the contract of `wit/pack.wit`:
 *
 *     const big = read('big', { inputs: { limit: 'integer' }, columns: { name: 'text', pages: 'integer' }, sql: `SELECT …` });
 *
 *     export const actions = definePack({
 *       name: 'sizes', version: '1.0.0', summary: 'What takes up the space',
 *       actions: {
 *         big: {
 *           title: 'Big tables', description: 'The largest tables.', statements: [big],
 *           params: { limit: integer(1, 200, { default: 20 }) },
 *           run: (call) => ({ summary: 'the largest tables', tables: { Tables: call.execute(big) } }),
 *         },
 *       },
 *     });
 *
 * The module runs once while the pack is built; what is there then is kept, and every call starts from it anew. There is no
 * clock, no network and no randomness in a call.
 *
 * Integers are numbers where a number can hold them, and BigInts beyond 2^53.
 *
 * @typedef {'boolean'|'integer'|'number'|'text'|'query'} ColumnKind
 * @typedef {'boolean'|'integer'|'number'|'text'|'identifier'|'integers'|'texts'} InputKind
 * @typedef {null|boolean|number|bigint|string|(number|bigint)[]|string[]} Value
 * @typedef { { sql: string, min?: number, below?: number, role?: 'any'|'primary'|'standby',
 *             extension?: { name: string, min?: string, below?: string } } } Variant
 * @typedef { { inputs?: Record<string, InputKind>, columns?: Record<string, ColumnKind>, sql?: string, variants?: Variant[],
 *             maxRows?: number, timeoutMs?: number, mustMatch?: boolean } } StatementOptions
 * @typedef { { default?: Value, optional?: boolean, description?: string } } ParamOptions
 * @typedef { { summary: string, tables?: Record<string, Rows|Built>, notices?: string[],
 *             findings?: { severity: 'ok'|'notice'|'warning'|'critical', text: string }[],
 *             suggestion?: { action: string, arguments?: object, why: string } } } Outcome
 * @typedef { { summary: string, tables?: Record<string, Rows|Built>, pins?: Record<string, Value> } } Evidence
 * @typedef { { title: string, description: string, statements: Statement[], params?: Record<string, object>,
 *             risk?: 'low'|'medium'|'high'|'critical', privileges?: string[], sideEffects?: string, onStandby?: boolean,
 *             idempotent?: boolean, searchTerms?: string[], examples?: { situation: string, arguments?: object }[],
 *             run: (call: Call) => Outcome, previewStatements?: Statement[], preview?: (call: Call) => Evidence,
 *             validate?: (call: Call) => { argument?: string, message: string }[] } } Action
 */

import { execute } from 'lockgate:pack/query@1.0.0';

// Values.

const wrap = {
  boolean: (v) => ({ tag: 'boolean', val: Boolean(v) }),
  integer: (v) => ({ tag: 'integer', val: whole(v) }),
  number: (v) => ({ tag: 'number', val: Number(v) }),
  text: (v) => ({ tag: 'text', val: String(v) }),
  query: (v) => ({ tag: 'text', val: String(v) }),
  identifier: (v) => ({ tag: 'text', val: String(v) }),
  integers: (v) => ({ tag: 'integers', val: BigInt64Array.from(v, whole) }),
  texts: (v) => ({ tag: 'texts', val: v.map(String) }),
};

const whole = (v) => (typeof v === 'bigint' ? v : BigInt(Math.trunc(v)));

const narrow = (v) => (v >= Number.MIN_SAFE_INTEGER && v <= Number.MAX_SAFE_INTEGER ? Number(v) : v);

const toHost = (kind, value) => (value === null || value === undefined ? { tag: 'null' } : wrap[kind](value));

/** A value of whatever kind a JavaScript value is, for pins. Numbers without a fraction are integers. */
function guess(value) {
  if (Array.isArray(value)) return toHost(value.every((v) => typeof v !== 'string') ? 'integers' : 'texts', value);
  if (typeof value === 'number') return toHost(Number.isInteger(value) ? 'integer' : 'number', value);
  return toHost({ boolean: 'boolean', bigint: 'integer', string: 'text' }[typeof value], value);
}

function fromHost({ tag, val }) {
  if (tag === 'null') return null;
  if (tag === 'integer') return narrow(val);
  return tag === 'integers' ? Array.from(val, narrow) : val;
}

// Declarations.

/** A statement: the only SQL there is. Made by `read`, `act` and `maintain`. */
export class Statement {
  /** @param {StatementOptions} options */
  constructor(mode, name, { inputs = {}, columns = {}, sql, variants, maxRows = 1000, timeoutMs = 5000, mustMatch = false }) {
    if ((sql === undefined) === (variants === undefined)) throw new TypeError(`statement ${name}: give sql or variants`);
    Object.assign(this, { mode, name, inputs, columns, variants: variants ?? [{ sql }], maxRows, timeoutMs, mustMatch });
  }

  describe() {
    return {
      id: this.name,
      mode: this.mode,
      inputs: Object.entries(this.inputs).map(([name, kind]) => ({ name, kind })),
      columns: describeColumns(this.columns),
      variants: this.variants.map(({ sql, min = 0, below = 0, role = 'any', extension }) => ({
        minVersion: min,
        belowVersion: below,
        role,
        extension: extension && { name: extension.name, min: extension.min ?? '', below: extension.below ?? '' },
        sql: outdent(sql),
      })),
      maxRows: this.maxRows,
      timeoutMs: this.timeoutMs,
      whenEmpty: this.mustMatch ? 'target-changed' : 'fine',
    };
  }
}

const describeColumns = (columns) => Object.entries(columns).map(([name, kind]) => ({ name, kind }));

/** SQL in a template literal carries the indentation of the code around it. */
function outdent(sql) {
  const lines = sql.replace(/^\s*\n|\s+$/g, '').split('\n');
  const indents = lines.filter((line) => line.trim()).map((line) => line.search(/\S/));
  const indent = Math.min(...indents);
  return lines.map((line) => line.slice(indent)).join('\n');
}

/** A SELECT in a read-only transaction. @param {StatementOptions} options */
export const read = (name, options) => new Statement('read', name, options);

/** A SELECT with an effect, in a transaction of its own. With `mustMatch`, no row means that the world has changed. */
export const act = (name, options) => new Statement('act', name, options);

/** VACUUM, ANALYZE or REINDEX, alone. Identifiers are written as `:"name"`. */
export const maintain = (name, options) => new Statement('maintain', name, options);

const param = (kind, of, options = {}) => ({ kind, of, ...options });

/** @param {ParamOptions} [options] */
export const boolean = (options) => param({ tag: 'boolean' }, 'boolean', options);
/** @param {ParamOptions} [options] */
export const integer = (min, max, options) =>
  param({ tag: 'integer', val: { min: whole(min), max: whole(max) } }, 'integer', options);
/** @param {ParamOptions} [options] */
export const number = (min, max, options) => param({ tag: 'number', val: { min, max } }, 'number', options);
/** Text that the pattern matches as a whole. There is no free text. @param {ParamOptions} [options] */
export const text = (maxLength, pattern, options) => param({ tag: 'text', val: { maxLength, pattern } }, 'text', options);
/** @param {ParamOptions} [options] */
export const identifier = (options) => param({ tag: 'identifier' }, 'identifier', options);
/** @param {ParamOptions} [options] */
export const choice = (list, options) => param({ tag: 'choice', val: list }, 'text', options);

// What a call works with.

/**
 * Ends a call with an answer that is no result: `not-found`, `nothing-to-do`, `not-applicable`, `no-effect`,
 * `target-changed` or `internal`, and what is to be said.
 */
export class Failure extends Error {
  constructor(kind, message) {
    super(message);
    this.failure = { tag: kind, val: message };
  }
}

/** Why a statement gave no rows. `kind` is the contract's word, such as `timeout` or `missing-privilege`. */
export class QueryError extends Failure {
  constructor(error) {
    super('query', error.tag);
    this.kind = error.tag;
    this.detail = error.val;
    this.failure = { tag: 'query', val: error };
  }
}

/** A result, held by the host. Handed on in a table no cell of it is copied; cells are fetched when they are asked for. */
export class Rows {
  constructor(handle, columns) {
    this.handle = handle;
    this.names = Object.keys(columns);
  }

  get count() {
    return this.handle.count();
  }

  /** A column, top to bottom. */
  column(name) {
    return this.handle.column(this.names.indexOf(name)).map(fromHost);
  }

  /** The rows as objects. */
  objects() {
    const columns = this.names.map((name) => this.column(name));
    return Array.from({ length: this.count }, (_, row) =>
      Object.fromEntries(this.names.map((name, at) => [name, columns[at][row]])),
    );
  }

  /** The first row, or undefined. */
  first() {
    return this.count === 0
      ? undefined
      : Object.fromEntries(this.names.map((name, at) => [name, fromHost(this.handle.cell(0, at))]));
  }

  lower() {
    return { tag: 'held', val: this.handle };
  }
}

/** A table that the pack makes: column names with their kinds, and rows as objects. */
export class Built {
  /** @param {Record<string, ColumnKind>} columns */
  constructor(columns, rows) {
    this.columns = columns;
    this.rows = rows;
  }

  lower() {
    const cells = (row) => Object.entries(this.columns).map(([name, kind]) => toHost(kind, row[name]));
    return { tag: 'built', val: { columns: describeColumns(this.columns), rows: this.rows.map(cells) } };
  }
}

/** One call: its arguments and pins by name, and the way to run statements. */
export class Call {
  constructor(args, pins) {
    this.arguments = args;
    this.pins = pins;
  }

  /** Runs a statement of this action. Inputs that are not given are taken by name from the pins and the arguments. */
  execute(statement, given = {}) {
    const known = { ...this.arguments, ...this.pins, ...given };
    const inputs = Object.entries(statement.inputs).map(([name, kind]) => toHost(kind, known[name]));
    let handle;
    try {
      handle = execute(statement.name, inputs);
    } catch (error) {
      // What the host answered is the error's payload; anything else is a defect.
      if (error?.payload === undefined) throw error;
      throw new QueryError(error.payload);
    }
    return new Rows(handle, statement.columns);
  }
}

// The pack.

const riskOf = (statements) => {
  const modes = new Set(statements.map((statement) => statement.mode));
  return modes.has('act') ? 'high' : modes.has('maintain') ? 'medium' : 'low';
};

function describeAction([name, action]) {
  const { statements, params = {} } = action;
  return {
    name,
    title: action.title,
    description: action.description.trim().replace(/\s+/g, ' '),
    risk: action.risk ?? riskOf(statements),
    params: Object.entries(params).map(([name, { kind, of, default: value, optional, description }]) => ({
      name,
      description: description ?? '',
      kind,
      required: value === undefined && !optional,
      default: toHost(of, value),
    })),
    runStatements: statements.map((statement) => statement.name),
    previewStatements: (action.previewStatements ?? []).map((statement) => statement.name),
    sideEffects: action.sideEffects ?? '',
    privileges: action.privileges ?? [],
    worksOnStandby: action.onStandby ?? true,
    idempotent: action.idempotent ?? statements.every((statement) => statement.mode === 'read'),
    examples: (action.examples ?? []).map(({ situation, arguments: args = {} }) => ({
      situation,
      arguments: JSON.stringify(args),
    })),
    searchTerms: action.searchTerms ?? [],
  };
}

const lowerTables = (tables = {}) => Object.entries(tables).map(([title, rows]) => ({ title, data: rows.lower() }));

/** What a failed call answers. Anything that is not a `Failure` is a defect of the pack: said, and not a trap. */
function answer(work) {
  try {
    return work();
  } catch (error) {
    throw error instanceof Failure ? error.failure : { tag: 'internal', val: String(error) };
  }
}

/**
 * Makes the component's exports: `export const actions = definePack({ … })`.
 * @param { { name: string, version: string, summary: string, homepage?: string, actions: Record<string, Action> } } pack
 */
export function definePack({ name, version, summary, homepage = '', actions }) {
  const callOf = (action, args, pins = []) =>
    new Call(
      Object.fromEntries(Object.keys(action.params ?? {}).map((name, at) => [name, fromHost(args[at])])),
      Object.fromEntries(pins.map((pin) => [pin.name, fromHost(pin.value)])),
    );
  return {
    describe() {
      const all = Object.values(actions).flatMap((action) => [...action.statements, ...(action.previewStatements ?? [])]);
      const statements = [...new Set(all)].map((statement) => statement.describe());
      return { name, version, summary, homepage, actions: Object.entries(actions).map(describeAction), statements };
    },

    validate(name, args) {
      const problems = actions[name].validate?.(callOf(actions[name], args)) ?? [];
      return problems.map(({ argument = '', message }) => ({ argument, message }));
    },

    preview: (name, args) =>
      answer(() => {
        const action = actions[name];
        const evidence = action.preview?.(callOf(action, args)) ?? { summary: action.title };
        const pins = Object.entries(evidence.pins ?? {}).map(([name, value]) => ({ name, value: guess(value) }));
        return { summary: evidence.summary, tables: lowerTables(evidence.tables), pins };
      }),

    run: (name, args, pins) =>
      answer(() => {
        const action = actions[name];
        const { summary, tables, notices = [], findings = [], suggestion } = action.run(callOf(action, args, pins));
        return {
          summary,
          tables: lowerTables(tables),
          notices,
          findings,
          suggestion: suggestion && {
            action: suggestion.action,
            arguments: JSON.stringify(suggestion.arguments ?? {}),
            why: suggestion.why,
          },
        };
      }),
  };
}
