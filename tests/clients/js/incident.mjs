// An agent at work, with the official TypeScript SDK: writers wait for a lock, the agent finds who holds it, asks to end
// that session, waits for a person to approve, and looks whether it helped.
//
//   node incident.mjs v2|v2-legacy|v1 stdio lockgate mcp --config /etc/lockgate/lockgate.toml
//   LOCKGATE_TOKEN=… node incident.mjs v2|v2-legacy|v1 http https://gate.example.com/mcp
//
// Says on standard output what it sees, one JSON object a line; ends with an error where anything is not as it should be.

import { connect } from './connect.mjs';

const target = 'primary';
const say = (event, more) => console.log(JSON.stringify({ event, ...more }));
const rowsOf = ({ columns, rows }) => rows.map((row) => Object.fromEntries(columns.map((c, i) => [c.name, row[i]])));

function expect(answer, status) {
  if (answer.status !== status) throw new Error(`expected ${status}: ${JSON.stringify(answer)}`);
  return answer;
}

const [sdk, transport, ...where] = process.argv.slice(2);
const agent = await connect(sdk, transport, ...where);
say('connected', { revision: agent.revision(), instructions: agent.instructions() });
say('tools', { names: (await agent.tools()).map((tool) => tool.name) });

// Look before you act.
async function read(action) {
  const reason = 'API writes time out; looking for what they wait for';
  const answer = expect(await agent.call(`postgres.${action}`, { target, reason }), 'done');
  return rowsOf(answer.tables[0]);
}

const chains = await read('lock_blocking_chains');
const heads = new Set(chains.map((row) => row.head_pid));
if (heads.size !== 1) throw new Error(`not one head but ${[...heads]}`);
const [pid] = heads;
const holder = (await read('idle_in_transaction')).find((row) => row.pid === pid);
say('head', { pid, waiting: chains.length, application: holder?.application });

// Ask for what must be done. Nothing happens until a person has approved exactly this.
const heard = [];
const reason = `session ${pid} of ${holder?.application} sits idle in a transaction and blocks ${chains.length} others`;
const progress = ({ progress, message }) => heard.push({ progress, message });
let answer = await agent.call('postgres.terminate_backend', { pid, target, reason }, progress);
if (answer.status === 'pending') say('pending', { ...answer, heard });
// Whoever decides quickly is heard at once; otherwise the agent asks again, for as long as it takes.
const { approval_id } = answer;
while (answer.status === 'pending') {
  answer = await agent.call('lockgate.await_approval', { approval_id, wait_seconds: 20 });
}
say('answered', expect(answer, 'done'));

say('after', { waiting: (await read('lock_blocking_chains')).length });
await agent.close();
