// A real browser, driven by lockgate's own tests: one command a line on standard input, one answer a line on standard output,
// each a JSON object. Ends, with its browser, when its input does.
//
//   node browser.mjs CHROMIUM ORIGIN
//
// Every tab is a context of its own: its cookies, its size, its colours. What a page may never do is written down for each:
// asking anything of somebody else, breaking its own content security policy, an error of a script.

import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';
import { audited } from './audit.mjs';
import { Tab } from './tab.mjs';

const [executablePath, origin] = process.argv.slice(2);
// The sandbox of Chromium's own can't be had by root, as whom tests may run; what is looked at here is ours.
const args = ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', '--font-render-hinting=none'];
const browser = await chromium.launch({ executablePath, args, headless: true });
const tabs = [];

async function obey({ tab, does, ...how }) {
  if (does === 'open') return tabs.push(await Tab.open(browser, origin, how)) - 1;
  if (does === 'audit') return audited(await tabs[tab].devtools());
  return tabs[tab][does](how);
}

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  let answer;
  try {
    answer = { done: (await obey(command)) ?? null };
  } catch (error) {
    const where = command.tab === undefined ? '' : await tabs[command.tab].where();
    answer = { failed: `${error.message}\n${where}` };
  }
  console.log(JSON.stringify(answer));
}
await browser.close();
