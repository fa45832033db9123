// What axe-core finds on a page, and what it has no rule for: a page that is wider than its screen, and targets too small for a
// finger. Runs in a world beside the page's own, so the page keeps its content security policy.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const source = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

// WCAG 2.2 at A and AA, and what axe-core's makers recommend beyond them.
const OPTIONS = {
  runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
  resultTypes: ['violations'],
  preload: false,
};

// In CSS pixels, for both sides; what stands in a line of text is as high as the line (WCAG 2.2, 2.5.8).
const FINGER = 44;

const look = async (options, finger) => {
  const { violations } = await axe.run(document, options);
  const found = violations.map(({ id, impact, help, nodes }) => ({
    rule: id,
    impact,
    help,
    where: nodes.slice(0, 4).map((node) => `${node.html.slice(0, 200)} (${node.failureSummary})`),
  }));
  const room = document.documentElement.clientWidth;
  const wide = [...document.body.querySelectorAll('*')].filter((e) => {
    const box = e.getBoundingClientRect();
    return box.width > 1 && box.right > room + 1 && !e.closest('nav') && getComputedStyle(e).clipPath === 'none';
  });
  const small = [...document.querySelectorAll('button, a.button, input:not([type=hidden]), select, textarea, summary')];
  const name = (e) => e.outerHTML.slice(0, 160);
  const isSmall = (e) => {
    const box = (e.labels?.length && e.matches('[type=radio], [type=checkbox]') ? e.parentElement : e).getBoundingClientRect();
    return box.height > 0 && (box.height < finger || box.width < finger);
  };
  return {
    found,
    scrolls: document.documentElement.scrollWidth > room,
    wide: wide.slice(0, 4).map(name),
    small: small.filter(isSmall).map(name),
  };
};

export async function audited(devtools) {
  const { frameTree } = await devtools.send('Page.getFrameTree');
  const { executionContextId: contextId } = await devtools.send('Page.createIsolatedWorld', { frameId: frameTree.frame.id });
  const evaluate = async (expression) => {
    const how = { contextId, expression, awaitPromise: true, returnByValue: true };
    const { result, exceptionDetails } = await devtools.send('Runtime.evaluate', how);
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  };
  await evaluate(`${source}; void 0`);
  return evaluate(`(${look})(${JSON.stringify(OPTIONS)}, ${FINGER})`);
}
