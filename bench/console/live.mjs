// The live list while crossings happen at a rate: how many are asked for, how many the page has seen, and how late it was.

import { readFileSync } from 'node:fs';
import https from 'node:https';
import * as lib from '../../tests/browser/lib.mjs';

const [port, code, gateway, credential, rate, seconds] = process.argv.slice(2);
const PASSPHRASE = 'four-leaved-clover-in-a-meadow';
// From Beijing, where nothing is given: refusals are on the ledger as all else, and nothing is behind them that binds.
const agent = new https.Agent({
  keepAlive: true, maxSockets: 8, rejectUnauthorized: false, localAddress: '127.0.44.10',
  cert: readFileSync(`${credential}.pem`), key: readFileSync(`${credential}.key`),
});
const cross = () => new Promise((resolve, reject) => {
  https.get({ host: '127.0.0.1', port: gateway, path: '/lanes/public-videos', agent, headers: { host: 'localhost', 'clover-purpose': 'research' } }, (answer) => {
    answer.resume();
    answer.on('end', () => resolve(answer.headers['clover-receipt']));
  }).on('error', reject);
});

const browser = await lib.open();
try {
  const { page } = await lib.person(browser, Number(port));
  await lib.enrol(page, { actor: 'oona', code, passphrase: PASSPHRASE });
  await page.goto('/overview');
  await page.waitForTimeout(1500);
  const seen = () => page.evaluate(() => Number(document.body.dataset.seen ?? 0));
  const before = await seen();
  const asked = [];
  let behind = 0;
  const start = performance.now();
  for (let n = 0; n < rate * seconds; n += 1) {
    const due = start + (n * 1000) / rate;
    const early = due - performance.now();
    if (early > 1) await new Promise((go) => setTimeout(go, early));
    asked.push(cross());
    if (n % rate === rate - 1) {
      const done = (await Promise.all(asked)).filter(Boolean).length;
      behind = Math.max(behind, done - ((await seen()) - before));
    }
  }
  const recorded = (await Promise.all(asked)).filter(Boolean).length;
  const took = (performance.now() - start) / 1000;
  const end = performance.now();
  while ((await seen()) - before < recorded && performance.now() - end < 20_000) await page.waitForTimeout(50);
  console.log(`live: ${recorded} recorded in ${took.toFixed(1)} s (${(recorded / took).toFixed(0)}/s), ${(await seen()) - before} seen, the last ${Math.round(performance.now() - end)} ms after; at most ${behind} behind at a look each second`);
} finally {
  agent.destroy();
  await browser.close();
}
