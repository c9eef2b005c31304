// Bytes and time of first pages in a browser, and time of the answer alone beside a peer that has the same bytes in memory.

import { spawn } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as lib from '../../tests/browser/lib.mjs';

const [port, code, tls, peer, middle] = process.argv.slice(2);
const PASSPHRASE = 'four-leaved-clover-in-a-meadow';
const ASKED = 40;

/** The body, and milliseconds of each of several answers in a row on one connection. */
async function times(port, at, cookie) {
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false });
  const once = () => new Promise((resolve, reject) => {
    const start = performance.now();
    const headers = cookie ? { cookie } : {};
    https.get({ host: 'localhost', port, path: at, agent, headers }, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part));
      answer.on('end', () => resolve([Buffer.concat(parts), performance.now() - start, answer.statusCode]));
    }).on('error', reject);
  });
  const all = [];
  for (let n = 0; n < ASKED; n += 1) all.push(await once());
  agent.destroy();
  const [body, , status] = all[0];
  if (status !== 200) throw new Error(`${at} answers ${status}`);
  // The first has the handshake.
  const sorted = all.slice(1).map(([, ms]) => ms).sort((a, b) => a - b);
  return { body, median: sorted[Math.floor(sorted.length / 2)], worst: sorted.at(-1) };
}

const browser = await lib.open();
try {
  const { page, context } = await lib.person(browser, Number(port));
  await lib.enrol(page, { actor: 'oona', code, passphrase: PASSPHRASE });
  const [{ value }] = (await context.cookies()).filter((cookie) => cookie.name.endsWith('clover-session'));
  const cookie = `__Host-clover-session=${value}`;
  const folder = mkdtempSync(path.join(tmpdir(), 'clover-peer-'));
  let next = 18_700;
  for (const at of ['/overview', '/ledger', '/ledger?kind=refused', '/ledger?country=BR&kind=demand', `/ledger/gw-1/${middle}`, '/requests', '/public']) {
    const loaded = await lib.first(page, at);
    const ours = await times(Number(port), at, cookie);
    const file = path.join(folder, 'body');
    writeFileSync(file, ours.body);
    next += 1;
    const child = spawn('python3', [peer, String(next), `${tls}.pem`, `${tls}.key`, file], { stdio: 'ignore' });
    try {
      await new Promise((go) => setTimeout(go, 700));
      const theirs = await times(next, '/', '');
      console.log(`${at}: ${loaded.bytes} bytes in ${loaded.requests} requests, loaded in ${loaded.ms} ms; answer ${ours.median.toFixed(1)} ms (worst ${ours.worst.toFixed(1)}), peer ${theirs.median.toFixed(1)} ms, ratio ${(ours.median / theirs.median).toFixed(1)}`);
    } finally {
      child.kill();
    }
  }
} finally {
  await browser.close();
}
