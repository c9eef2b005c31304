// The page's own checks of ledger proofs (crates/console/src/pages/static/verify.js): what an honest site made passes, and every lie
// is refused for its own reason. Logs, keys, notes and maps are made up here. `node --test tests/browser/verify.test.mjs`

import assert from 'node:assert/strict';
import { createHash, createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { ProofError, checkQuorum, dayText, decodeEntry, fromBase64, hex, openCheckpoint, parseVkey, verifyEntry, verifyHistory }
  from '../../crates/console/src/pages/static/verify.js';

// ---- The other side: trees, keys, notes and leaves, written plainly and apart from the module

const sha = (...parts) => createHash('sha256').update(Buffer.concat(parts)).digest();
const leafHash = (leaf) => sha(Buffer.of(0), leaf);
const nodeHash = (left, right) => sha(Buffer.of(1), left, right);
const split = (size) => 2 ** Math.floor(Math.log2(size - 1));
const u32 = (value) => { const bytes = Buffer.alloc(4); bytes.writeUInt32BE(value); return bytes; };
const u64 = (value) => { const bytes = Buffer.alloc(8); bytes.writeBigUInt64BE(BigInt(value)); return bytes; };
const short = (origin) => sha(Buffer.from(origin)).subarray(0, 8);

function root(leaves) {
  if (leaves.length === 0) return sha();
  if (leaves.length === 1) return leafHash(leaves[0]);
  const middle = split(leaves.length);
  return nodeHash(root(leaves.slice(0, middle)), root(leaves.slice(middle)));
}

/** RFC 6962, 2.1.1. */
function auditPath(index, leaves) {
  if (leaves.length < 2) return [];
  const middle = split(leaves.length), [left, right] = [leaves.slice(0, middle), leaves.slice(middle)];
  return index < middle ? [...auditPath(index, left), root(right)] : [...auditPath(index - middle, right), root(left)];
}

/** day-map.md, "Proof of several leaves". */
function several(indices, leaves, from = 0) {
  if (!indices.some((index) => index >= from && index < from + leaves.length)) return root(leaves);
  if (leaves.length === 1) return Buffer.alloc(0);
  const middle = split(leaves.length);
  return Buffer.concat([several(indices, leaves.slice(0, middle), from), several(indices, leaves.slice(middle), from + middle)]);
}

function cbor(value) {
  const head = (major, count) => {
    if (count < 24) return Buffer.of(major << 5 | count);
    if (count < 256) return Buffer.of(major << 5 | 24, count);
    if (count < 65536) return Buffer.of(major << 5 | 25, count >> 8, count & 255);
    if (count < 2 ** 32) return Buffer.concat([Buffer.of(major << 5 | 26), u32(count)]);
    return Buffer.concat([Buffer.of(major << 5 | 27), u64(count)]);
  };
  if (typeof value === 'boolean') return Buffer.of(value ? 0xf5 : 0xf4);
  if (typeof value === 'number') return head(0, value);
  if (typeof value === 'string') return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)]);
  if (value instanceof Uint8Array) return Buffer.concat([head(2, value.length), value]);
  if (Array.isArray(value)) return Buffer.concat([head(4, value.length), ...value.map(cbor)]);
  if (value instanceof Map) return Buffer.concat([head(5, value.size), ...[...value].flat().map(cbor)]);
  throw new TypeError(`no CBOR for ${value}`);
}

function makeKey(name, type = 1) {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const key = Buffer.concat([Buffer.of(type), Buffer.from(publicKey.export({ format: 'jwk' }).x, 'base64url')]);
  return ofKey(name, key, privateKey);
}

function ofKey(name, key, privateKey) {
  const id = sha(Buffer.from(`${name}\n`), key).subarray(0, 4);
  const line = (text, time = 0) => {
    const cosigns = key[0] === 4, message = cosigns ? `cosignature/v1\ntime ${time}\n${text}` : text;
    const blob = Buffer.concat([id, cosigns ? u64(time) : Buffer.alloc(0), sign(null, Buffer.from(message), privateKey)]);
    return `\u2014 ${name} ${blob.toString('base64')}\n`;
  };
  return { name, line, vkey: `${name}+${id.toString('hex')}+${key.toString('base64')}` };
}

const checkpointText = (origin, leaves) => `${origin}\n${leaves.length}\n${root(leaves).toString('base64')}\n`;
const signed = (text, ...lines) => `${text}\n${lines.join('')}`;

const GATEWAYS = ['ledger.test/site/one', 'ledger.test/site/two'];
const SITE = 'site.test/site';
const FIRST = 20000;
const EMPTY = root([]);

/** A leaf of a gateway's log; `change` writes over its bytes. */
function entry({ origin = GATEWAYS[0], sequence = 0, time = FIRST * 86400, kind = 1, tags = [], facts = 4, change = () => {} } = {}) {
  const leaf = Buffer.alloc(256 + facts, 7);
  leaf.fill(0, 0, 256);
  leaf.write('CLV1');
  Buffer.of(1, kind, 1, kind === 2 ? 2 : 1).copy(leaf, 4);
  Buffer.concat([short(origin), u64(sequence), u64(time), sha(u64(sequence)).subarray(0, 16)]).copy(leaf, 8);
  leaf[81] = 1;
  leaf.write('IEUS', 82);
  if (kind === 2) leaf[89] = 1;
  if (tags.length > 4) {
    leaf[156] = 2;
    root(tags).copy(leaf, 160);
  } else if (tags.length > 0) {
    Buffer.of(1, tags.length).copy(leaf, 156);
    Buffer.concat(tags.toSorted(Buffer.compare)).copy(leaf, 160);
  }
  leaf.writeUInt32BE(tags.length, 92);
  change(leaf);
  return leaf;
}

function mapLeaves(pairs) {
  const lists = new Map([['00'.repeat(16), []], ['ff'.repeat(16), []]]);
  for (const [tag, pair] of pairs) lists.set(tag.toString('hex'), [...lists.get(tag.toString('hex')) ?? [], pair]);
  return [...lists].sort(([a], [b]) => (a < b ? -1 : 1)).map(([tag, list]) => {
    const sorted = list.toSorted(Buffer.compare);
    return Object.assign(Buffer.concat([Buffer.from(tag, 'hex'), u32(list.length), sha(...sorted)]), { list: Buffer.concat(sorted) });
  });
}

const siteLeaf = (sequence, kind, body) =>
  Buffer.concat([Buffer.from('CLVS'), Buffer.of(1, kind, 0, 0), short(SITE), u64(sequence), u64(FIRST * 86400), cbor(body)]);

const KEYS = { site: makeKey(SITE), witness: makeKey('witness.test', 4), other: makeKey('other.test', 4), stranger: makeKey(SITE) };
const POLICY = `# who must have signed\nlog ${KEYS.site.vkey} http://localhost/\nwitness w ${KEYS.witness.vkey}\nquorum w\n`;
const TAG_KEY = Buffer.alloc(32, 9);
const tagOf = (day, key = TAG_KEY) => createHmac('sha256', key).update('logs\0').update(u32(day)).digest().subarray(0, 16);

/**
 * A site with two gateways: four days are over (the second without entries, a list of five on the third), the fifth is not.
 * `lie` changes what the site signs; `told` is the file of a history from `from` to `to` before it is encoded.
 */
function site(lie = {}) {
  const logs = { [GATEWAYS[0]]: [], [GATEWAYS[1]]: [] }, pairs = new Map();
  const write = (origin, day, tags, more = {}) => {
    const sequence = logs[origin].length;
    logs[origin].push(entry({ origin, sequence, time: day * 86400 + 60, tags, ...more }));
    for (const tag of tags) pairs.set(day, [...pairs.get(day) ?? [], [tag, Buffer.concat([short(origin), u64(sequence)])]]);
  };
  const others = (day, count) => Array.from({ length: count }, (_, n) => sha(u64(day), u64(n)).subarray(0, 16));
  for (const origin of GATEWAYS) write(origin, FIRST, [], { kind: 4, facts: 0 });
  for (const [n, day] of [FIRST, FIRST, FIRST + 2, FIRST + 3, FIRST + 4].entries()) {
    write(GATEWAYS[n % 2], day, [tagOf(day)], { kind: n === 1 ? 2 : 1 });
    write(GATEWAYS[0], day, others(day, 3));
    write(GATEWAYS[1], day, [tagOf(day), ...others(day, 5)].toSorted(Buffer.compare), lie.entry);
  }
  const maps = new Map(), records = [], leaves = [siteLeaf(0, 2, new Map([[0, []]]))];
  const inputs = GATEWAYS.map((origin) => [origin, 0, logs[origin].length, root(logs[origin])]);
  for (let day = FIRST; day < FIRST + 5; day++) {
    const map = mapLeaves((lie.pairs ?? ((all) => all))(pairs.get(day) ?? [], day)), counted = (map.length - 2);
    const sum = map.reduce((total, leaf) => total + leaf.readUInt32BE(16), 0);
    if (day < FIRST + 4) records.push(Buffer.concat([u32(day), root(map), u64(counted), u64(sum)]));
    maps.set(day, map);
    const body = [day, day < FIRST + 4, root(map), counted, sum, inputs, root(records), records.length];
    leaves.push(siteLeaf(leaves.length, 3, new Map((lie.body ?? ((all) => all))(body, day).entries())));
  }
  const head = checkpointText(SITE, leaves);
  const note = signed(head, KEYS.site.line(head), KEYS.witness.line(head, 1_800_000_000));
  const proved = (index) => [index, leaves[index], several([index], leaves)];
  const found = (day, tag = tagOf(day)) => {
    const map = maps.get(day), at = map.findIndex((leaf) => leaf.compare(tag, 0, 16, 0, 16) === 0);
    if (at >= 0) return [at, map[at].list, several([at], map)];
    const low = map.findLastIndex((leaf) => leaf.compare(tag, 0, 16, 0, 16) < 0);
    return [low, map[low], map[low + 1], several([low, low + 1], map)];
  };
  const told = (from = FIRST - 2, to = FIRST + 4) => {
    const days = Array.from({ length: to - from + 1 }, (_, n) => (from + n < FIRST ? [] : found(from + n)));
    const named = days.filter((day) => day.length === 3).flatMap(([, list]) => list.toString('hex').match(/.{32}/g)).sort();
    const of = (origin) => named.filter((pair) => pair.startsWith(hex(short(origin)))).map((pair) => parseInt(pair.slice(16), 16));
    const proofs = GATEWAYS.toSorted((a, b) => short(a).compare(short(b))).filter((origin) => of(origin).length > 0)
      .map((origin) => [origin, of(origin).map((index) => logs[origin][index]), several(of(origin), logs[origin])]);
    const interim = to === FIRST + 4 ? [[8, proved(5)]] : [];
    return new Map([[0, 'clover subject history v1'], [1, 'logs'], [2, TAG_KEY], [3, from], [4, to], [5, note], [6, proved(4)],
      [7, Buffer.concat(records)], ...interim, [9, days], [10, proofs]]);
  };
  return { logs, leaves, maps, found, told, head, note, records };
}

const check = (told, keys = {}) =>
  verifyHistory({ file: told instanceof Map ? cbor(told) : told, siteVkey: KEYS.site.vkey, policy: POLICY, ...keys });

async function refused(promise, reason, what) {
  await assert.rejects(promise, (error) => {
    assert(error instanceof ProofError && error instanceof Error, `${what}: ${error.stack}`);
    assert.match(error.message, reason, what);
    return true;
  }, what);
}

/** A changed copy of a file: `change` gets the map and may change it deeply. */
function changed(told, change) {
  const copy = (value) => (Array.isArray(value) ? value.map(copy) : value instanceof Uint8Array ? Buffer.from(value) : value);
  const map = new Map([...told].map(([key, value]) => [key, copy(value)]));
  change(map);
  return map;
}

// ---- Small things

test('hexadecimal digits, days and base64 have one form', () => {
  assert.equal(hex(Uint8Array.of(0, 10, 255)), '000aff');
  assert.deepEqual([0, 19_000, 2_932_896].map(dayText), ['1970-01-01', '2022-01-08', '9999-12-31']);
  for (const day of [-1, 2_932_897, NaN]) assert.throws(() => dayText(day), ProofError);
  assert.deepEqual(fromBase64('AAEC'), Uint8Array.of(0, 1, 2));
  assert.deepEqual(fromBase64(''), new Uint8Array());
  for (const text of ['AAE', 'AA E', 'AB==', 'AA==AA==', 'AA==\n', 'A-_A', '====', undefined, 7]) {
    assert.throws(() => fromBase64(text), ProofError, String(text));
  }
});

test('a verifier key has the id of its name and bytes', async () => {
  const text = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
  const key = await parseVkey(`${text}\n`);
  assert.deepEqual([key.name, key.id, key.type, key.key.length], ['PeterNeumann', 'c74f20a3', 1, 32]);
  const wrong = [text.replace('a3+', 'a4+'), text.replace('P', 'p'), text.replace('+AR', '+BB'), text.replace('10TW', ''), `a ${text}`,
    text.replace('c7', 'C7'), text.replace('PeterNeumann', ''), 'PeterNeumann+c74f20a3', '', undefined, `${text}\n${text}`];
  for (const bad of wrong) await refused(parseVkey(bad), /verifier key|base64/, bad);
  for (const name of ['two words', 'a\u00a0b', 'a\u0085b', 'a\tb']) await refused(parseVkey(makeKey(name).vkey), /form/, JSON.stringify(name));
});

// ---- Checkpoints and quorums

test('a checkpoint is what the key named after its origin signed', async () => {
  const log = makeKey('log.test/l'), text = checkpointText('log.test/l', [Buffer.of(1), Buffer.of(2)]);
  const note = signed(text, log.line(text));
  const opened = { origin: 'log.test/l', size: 2, root: root([Buffer.of(1), Buffer.of(2)]).toString('hex') };
  assert.deepEqual(await openCheckpoint(note, log.vkey), opened);
  const stranger = makeKey('log.test/l'), renamed = makeKey('else.test');
  assert.deepEqual(await openCheckpoint(note + stranger.line(text), log.vkey), opened, 'a stranger signed too');
  await refused(openCheckpoint(note, stranger.vkey), /not signed by/, 'another key of that name');
  await refused(openCheckpoint(signed(text, renamed.line(text)), renamed.vkey), /of the log log\.test/, 'a key of another name');
  await refused(openCheckpoint(note, makeKey('log.test/l', 4).vkey), /not that of a log/, 'a cosigner in place of the log');
  const other = checkpointText('log.test/l', [Buffer.of(1)]);
  await refused(openCheckpoint(note + log.line(other), log.vkey), /is false/, 'a second signature that is false');
  for (const [from, to] of [['\n2\n', '\n3\n'], ['\n2\n', '\n02\n'], ['log', 'lag'], ['\n\n', '\n'], ['\u2014', '-'], ['\n2', '\r\n2']]) {
    await refused(openCheckpoint(note.replace(from, to), log.vkey), /./, `${from} for ${to}`);
  }
  for (const bytes of [note.slice(0, -1), `${note}\n`, `${note}x`, note.replace(' log', '  log'), '', undefined]) {
    await refused(openCheckpoint(bytes, log.vkey), /malformed|not a text|no text|base64/, JSON.stringify(bytes));
  }
  // Signed, and no checkpoint all the same.
  const tail = text.split('\n').slice(1).join('\n');
  for (const wrong of [`\n${tail}`, 'log.test/l\n2\n', text.replace('\n2\n', '\n-2\n'), text.replace('\n2\n', '\n0\n'), `${text}\n`,
    text.replace('\n2\n', '\n9007199254740992\n'), 'log.test/l\n2\nAAAA\n', text.replace('\n2\n', '\n2 \n')]) {
    await refused(openCheckpoint(signed(wrong, log.line(wrong)), log.vkey), /checkpoint|base64/, JSON.stringify(wrong));
  }
  for (const name of ['', 'a+b', 'a\u00a0b']) {
    await refused(openCheckpoint(`${note}\u2014 ${name} AAAAAAAA\n`, log.vkey), /malformed/, `a signature of ${JSON.stringify(name)}`);
  }
  await refused(openCheckpoint(`${note}\u2014 a AAAAAA==\n`, log.vkey), /malformed/, 'a signature of nothing');
  const crowd = makeKey('crowd.test').line(text);
  assert.equal((await openCheckpoint(note + crowd.repeat(99), log.vkey)).size, 2);
  await refused(openCheckpoint(note + crowd.repeat(100), log.vkey), /too many signatures/, 'a crowd');
  const more = `${text}an extension\n`;
  assert.equal((await openCheckpoint(signed(more, log.line(more)), log.vkey)).size, 2);
});

test('a quorum is met by just those who meet it', async () => {
  const names = ['w1', 'w2', 'w3', 'w4', 'w5'], keys = names.map((name) => makeKey(`${name}.test`, 4));
  const policy = (rest) => `log ${KEYS.site.vkey}\n\n \t# known\n${names.map((name, n) => `witness ${name} ${keys[n].vkey} http://w\n`).join('')}${rest}`;
  const text = checkpointText(SITE, []);
  const note = (...who) => signed(text, KEYS.site.line(text), ...who.map((n) => keys[n - 1].line(text, 1000 + n)));
  const two = 'group x 2 w1 w2 w3\ngroup y any w4 w5\ngroup both all x y\nquorum both\n';
  assert.deepEqual(await checkQuorum(note(1, 3, 5), policy(two)), { signers: ['w1.test', 'w3.test', 'w5.test'], time: 1001 });
  assert.equal((await checkQuorum(note(1, 2, 3, 5), policy(two))).time, 1002, 'the oldest was not needed');
  assert.equal((await checkQuorum(note(1) + keys[0].line(text, 77) + keys[0].line(text, 5000), policy('quorum w1\n'))).time, 5000, 'the newest of one');
  assert.deepEqual(await checkQuorum(note(1), policy('quorum none\n')), { signers: [], time: null }, 'nobody is asked');
  const short = /whom the policy asks for/;
  for (const who of [[1, 2, 3], [1, 4, 5], [4], []]) await refused(checkQuorum(note(...who), policy(two)), short, who.join());
  await refused(checkQuorum(note(1), policy('quorum w2\n')), short, 'another one signed');
  const stranger = makeKey('w1.test', 4);
  await refused(checkQuorum(note() + stranger.line(text, 1001), policy('quorum w1\n')), short, 'a stranger of that name');
  const forged = keys[1].line(checkpointText(SITE, [Buffer.of(1)]), 5);
  await refused(checkQuorum(note(1) + forged, policy('quorum w1\n')), /w2\.test on the checkpoint is false/, 'one forged among good ones');
  const blob = Buffer.from(keys[0].line(text, 1001).split(' ')[2], 'base64'), base = `\u2014 w1.test `;
  for (let at = 4; at < blob.length; at++) {
    const bad = Buffer.from(blob);
    bad[at] ^= 1;
    await refused(checkQuorum(`${note()}${base}${bad.toString('base64')}\n`, policy('quorum w1\n')), /false|count/, `byte ${at} of a cosignature`);
  }
  await refused(checkQuorum(`${note()}${base}${blob.subarray(0, 71).toString('base64')}\n`, policy('quorum w1\n')), /false/, 'cut');
  await refused(checkQuorum(note(1).replace('\n0\n', '\n1\n'), policy('quorum w1\n')), /false/, 'another size');
});

test('a policy names the log, and has one meaning', async () => {
  const text = checkpointText(SITE, []), note = signed(text, KEYS.site.line(text), KEYS.witness.line(text, 5), KEYS.other.line(text, 6));
  const log = `log ${KEYS.site.vkey}\n`, [one, two] = [KEYS.witness, KEYS.other].map((key, n) => `witness w${n + 1} ${key.vkey}\n`);
  assert.equal((await checkQuorum(note, `${log}${one}${two}group g 2 w1 w2\nquorum g\n`)).time, 5);
  assert.equal((await checkQuorum(note, `log ${KEYS.stranger.vkey}\n${log}${one}quorum w1\n`)).time, 5, 'a log with two keys');
  const elsewhere = makeKey('site.test/else');
  await refused(checkQuorum(note, `log ${elsewhere.vkey}\n${one}quorum w1\n`), /does not name the log/, 'another log');
  await refused(checkQuorum(note, `log ${KEYS.stranger.vkey}\n${one}quorum w1\n`), /not signed by/, 'another key of the log');
  await refused(checkQuorum(note, `${one}quorum w1\n`), /does not name the log/, 'no log');
  const bad = ['', 'quorum w9\n', 'quorum w1\nquorum w1\n', 'quorum g\ngroup g all w1\n', 'group g 0 w1\nquorum g\n', 'group g 3 w1 w2\nquorum g\n',
    'group g +1 w1\nquorum g\n', 'group g 01 w1\nquorum g\n', 'group g all\nquorum g\n', 'group g all w1 w1\nquorum g\n', 'quorum w1\r\n',
    'group g all w1\ngroup h all w1 w2\nquorum h\n', 'group w1 all w2\nquorum w1\n', 'group none all w2\nquorum none\n', 'quorums w1\n',
    'group g all none\nquorum g\n', 'witness again w.test/1+00000000+BAAA\nquorum w1\n', 'quorum w1', 'quorum w1 w2\n', 'quorum w1 # why\n',
    `witness w3 ${KEYS.site.vkey}\nquorum w1\n`, `log ${makeKey('w', 4).vkey}\nquorum w1\n`, `${log}quorum w1\n`, 'group g constructor w1\nquorum g\n',
    `witness w3 ${ofKey('renamed.test', Buffer.from(KEYS.other.vkey.split('+').slice(2).join('+'), 'base64')).vkey}\nquorum w1\n`];
  for (const rest of bad) await refused(checkQuorum(note, log + one + two + rest), /policy|verifier key/, JSON.stringify(rest));
  await refused(checkQuorum(note, undefined), /policy/, 'no policy');
  await refused(checkQuorum(note, log + one), /names no quorum/, 'no quorum');
  // Ids have four bytes: two keys of one name and one id are found in a moment, and neither counts as the other.
  const [a, b] = [2820, 87289].map((n) => ofKey('twin.test', Buffer.concat([Buffer.of(4), sha(u64(n))])).vkey);
  const id = a.split('+')[1], blob = Buffer.concat([Buffer.from(id, 'hex'), Buffer.alloc(72)]).toString('base64');
  assert(id === b.split('+')[1] && a !== b);
  const twins = `${log}${one}witness a ${a}\nwitness b ${b}\nquorum w1\n`;
  await refused(checkQuorum(`${note}\u2014 twin.test ${blob}\n`, twins), /two different keys/, 'twins');
});

test('a witness whose key this browser cannot check has never signed', async () => {
  const text = checkpointText(SITE, []), blob = Buffer.alloc(4 + 8 + 2420, 1);
  const lattice = ofKey('lattice.test', Buffer.concat([Buffer.of(6), Buffer.alloc(1312, 3)]));
  Buffer.from(lattice.vkey.split('+')[1], 'hex').copy(blob);
  const note = signed(text, KEYS.site.line(text), `\u2014 lattice.test ${blob.toString('base64')}\n`, KEYS.witness.line(text, 5));
  const policy = (rest) => `log ${KEYS.site.vkey}\nwitness l ${lattice.vkey}\nwitness w ${KEYS.witness.vkey}\n${rest}`;
  assert.deepEqual(await checkQuorum(note, policy('group g any l w\nquorum g\n')), { signers: ['witness.test'], time: 5 });
  for (const rest of ['quorum l\n', 'group g all l w\nquorum g\n']) await refused(checkQuorum(note, policy(rest)), /whom the policy asks/, rest);
  const logged = signed(text, `\u2014 ${SITE} ${blob.toString('base64')}\n`);
  const unknown = ofKey(SITE, Buffer.concat([Buffer.of(6), Buffer.alloc(1312, 3)]));
  await refused(checkQuorum(logged, `log ${unknown.vkey}\nquorum none\n`), /does not name the log/, 'as a log');
});

// ---- Entries and receipts

test('a header is told in words', async () => {
  const tags = [Buffer.alloc(16, 3), Buffer.alloc(16, 5)];
  const told = await decodeEntry(entry({ sequence: 41, tags, change: (leaf) => {
    Buffer.of(6, 33).copy(leaf, 86);
    Buffer.alloc(32, 0xab).copy(leaf, 48);
    u64(77).copy(leaf, 96);
    Buffer.alloc(8, 0xcd).copy(leaf, 224);
  } }));
  assert.deepEqual(told, {
    kind: 'answer', direction: 'outward', decision: 'released', gateway: hex(short(GATEWAYS[0])), sequence: 41, time: '2024-10-04T00:00:00Z',
    unix: FIRST * 86400, flow: hex(sha(u64(41)).subarray(0, 16)), rulebook: 'ab'.repeat(32), purpose: 'support', place: 'IE', destination: 'US',
    classes: ['allowable', 'restricted'], treatments: ['plain', 'differentially private'], reason: null, findings: 0, subjects: 2, bytes: 77,
    rows: 0, detail: null, actor: '00'.repeat(16), mode: 'tags', tags: tags.map(hex), tagRoot: null, lane: 'cd'.repeat(8), open: null,
    lease: null, outcome: null, facts: 4,
  });
  const list = await decodeEntry(entry({ kind: 2, facts: 0, tags: Array.from({ length: 5 }, (_, n) => Buffer.alloc(16, n + 1)) }));
  assert.deepEqual([list.kind, list.decision, list.reason, list.mode, list.subjects, list.tags, list.tagRoot.length],
    ['refusal', 'refused', 'policy', 'list', 5, [], 64]);
  const four = [1, 2, 3, 4].map((n) => Buffer.alloc(16, n));
  assert.equal((await decodeEntry(entry({ facts: 4096, tags: four }))).tags.length, 4);
  for (const [outcome, word] of [[1, 'complete'], [3, 'unknown']]) {
    const ended = entry({ kind: 8, facts: 0, sequence: 9, change: (leaf) => { leaf[248] = outcome; } });
    assert.equal((await decodeEntry(ended)).outcome, word);
  }
  const close = await decodeEntry(entry({ kind: 8, facts: 0, sequence: 9, change: (leaf) => { leaf[239] = 3; leaf[248] = 2; } }));
  assert.deepEqual([close.kind, close.open, close.outcome], ['close', 3, 'broken off']);
  const open = await decodeEntry(entry({ kind: 6, change: (leaf) => u64(FIRST * 86400 + 3600).copy(leaf, 240) }));
  assert.deepEqual([open.kind, open.lease, open.open], ['open', '2024-10-04T01:00:00Z', null]);
  const one = [Buffer.alloc(16, 1)];
  const others = { 3: { change: (leaf) => leaf.write('ZZ', 84) }, 4: { facts: 0 }, 5: { facts: 0 }, 9: {}, 10: {}, 11: { tags: one, facts: 0 },
    12: { tags: one, facts: 0 }, 13: { change: (leaf) => leaf.write('IE', 84) }, 14: { change: (leaf) => { leaf[6] = 2; } } };
  for (const [kind, more] of Object.entries(others)) await decodeEntry(entry({ kind: Number(kind), ...more }));
});

test('a header that contradicts itself is refused', async () => {
  const at = (offset, ...bytes) => ({ change: (leaf) => Buffer.from(bytes).copy(leaf, offset) });
  const both = (...changes) => ({ change: (leaf) => changes.forEach(({ change }) => change(leaf)) });
  const one = [Buffer.alloc(16, 1)], two = [Buffer.alloc(16, 1), Buffer.alloc(16, 2)];
  const lies = [
    [/magic/, at(3, 0x32)], [/magic/, at(4, 2)], [/kind/, at(5, 0)], [/kind/, at(5, 15)], [/direction/, at(6, 3)], [/decision/, at(7, 2)],
    [/decision/, at(5, 2)], [/purpose/, at(81, 0)], [/purpose/, at(81, 12)], [/purpose/, at(80, 1)], [/country/, at(82, 0x69)], [/country/, at(85, 0)],
    [/class/, at(86, 8)], [/treatment/, at(87, 64)], [/reason/, at(89, 1)], [/reason/, { kind: 2, ...at(89, 0) }], [/reason/, { kind: 2, ...at(89, 19) }],
    [/people/, at(95, 1)], [/tags/, at(156, 4)], [/tags/, at(157, 1)], [/tags/, { tags: one, ...at(157, 0) }], [/tags/, { tags: one, ...at(157, 5) }],
    [/padding/, at(158, 1)], [/padding/, at(159, 1)], [/padding/, at(160, 1)], [/padding/, at(223, 1)], [/padding/, { tags: one, ...at(176, 1) }],
    [/padding/, at(249, 1)], [/padding/, at(255, 1)], [/people/, { tags: one, ...at(95, 2) }], [/order/, { tags: two, ...at(160, 3) }],
    [/order/, { tags: two, change: (leaf) => leaf.fill(1, 160, 192) }], [/padding/, { ...both(at(156, 3), at(160, 1)) }],
    [/padding/, { ...both(at(156, 2), at(95, 5), at(192, 1)) }], [/people/, both(at(156, 2), at(95, 4))], [/people/, both(at(156, 3), at(95, 1))],
    [/refusal/, { kind: 2, ...at(103, 1) }], [/refusal/, { kind: 2, ...at(86, 1) }], [/refusal/, { kind: 2, ...at(87, 1) }],
    [/destination/, { kind: 3 }], [/one person/, { kind: 11, facts: 0 }], [/one person/, { kind: 12, facts: 0, tags: two }],
    [/one person/, { kind: 11, facts: 0, tags: one, ...at(103, 1) }], [/one person/, { kind: 11, facts: 0, tags: one, ...at(86, 1) }],
    [/inside/, { kind: 13 }], [/inside/, { kind: 13, ...both(at(84, 0x49, 0x45), at(87, 1)) }],
    [/inside/, { kind: 13, ...both(at(84, 0x49, 0x45), at(156, 3)) }],
    [/direction/, { kind: 14 }], [/stage/, { kind: 14, ...both(at(6, 2), at(86, 1)) }], [/stage/, { kind: 14, tags: one, ...at(6, 2) }],
    [/open/, at(239, 1)], [/open/, { kind: 7, facts: 0, sequence: 3, ...at(239, 3) }], [/lease/, at(247, 1)], [/outcome/, at(248, 1)],
    [/lease/, { kind: 6, change: (leaf) => u64(FIRST * 86400 + 3601).copy(leaf, 240) }],
    [/outcome/, { kind: 8, facts: 0, sequence: 3 }], [/outcome/, { kind: 8, facts: 0, sequence: 3, ...at(248, 4) }],
    [/facts/, { facts: 0 }], [/facts/, { kind: 4 }], [/facts/, { kind: 5 }], [/facts/, { kind: 9, facts: 0 }], [/facts/, { kind: 11, tags: one }],
    [/bytes/, { facts: 4097 }], [/year 9999/, { time: 253402300800 }], [/count/, at(24, 1)], [/count/, at(96, 1)],
  ];
  for (const [reason, lie] of lies) await refused(decodeEntry(entry(lie)), reason, `${reason} ${JSON.stringify(lie)} ${lie.change ?? ''}`);
  await refused(decodeEntry(entry().subarray(0, 255)), /bytes/, 'cut');
  await refused(decodeEntry('CLV1'), /bytes/, 'a text');
});

function receipt(index, size, lie = {}) {
  const origin = lie.origin ?? GATEWAYS[0], log = makeKey(origin);
  const leaves = Array.from({ length: size }, (_, n) => entry({ sequence: n, ...(n === index ? lie : {}), origin: lie.writes ?? origin }));
  const text = checkpointText(origin, leaves), hashes = auditPath(index, leaves).map((hash) => `${hash.toString('base64')}\n`);
  const proof = `c2sp.org/tlog-proof@v1\nindex ${index}\n${hashes.join('')}\n${signed(text, log.line(text))}`;
  return { leaf: leaves[index], proof, vkey: log.vkey, log, leaves, hashes };
}

test('a receipt shows an entry in trees of every shape', async () => {
  for (let size = 1; size <= 18; size++) {
    for (let index = 0; index < size; index++) {
      const { leaf, proof, vkey, leaves } = receipt(index, size), shown = await verifyEntry({ leaf, proof, vkey });
      const { entry: told, ...rest } = shown;
      assert.deepEqual(rest, { origin: GATEWAYS[0], index, size, root: hex(root(leaves)), leafHash: hex(leafHash(leaf)) });
      assert.equal(told.sequence, index);
    }
  }
});

test('every changed byte of a receipt is refused', async () => {
  const { leaf, proof, vkey } = receipt(6, 11), bytes = Buffer.from(proof);
  const decode = (changed) => new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(changed);
  for (let at = 0; at < bytes.length; at++) {
    for (const bit of [1, 0x20]) {
      const bad = Buffer.from(bytes);
      bad[at] ^= bit;
      let text;
      try {
        text = decode(bad);
      } catch {
        continue;
      }
      await refused(verifyEntry({ leaf, proof: text, vkey }), /./, `byte ${at}, bit ${bit}`);
    }
  }
  for (let at = 0; at < leaf.length; at++) {
    const bad = Buffer.from(leaf);
    bad[at] ^= 1;
    await refused(verifyEntry({ leaf: bad, proof, vkey }), /does not lead/, `byte ${at} of the leaf`);
  }
  for (let end = 0; end < proof.length; end += 7) await refused(verifyEntry({ leaf, proof: proof.slice(0, end), vkey }), /./, `cut at ${end}`);
});

test('a receipt of something else is refused', async () => {
  const good = receipt(6, 11), { leaf, proof, vkey, hashes, log, leaves } = good;
  const extra = proof.replace('\nindex', `\nextra ${Buffer.from('seen').toString('base64')}\nindex`);
  assert.equal((await verifyEntry({ leaf, proof: extra, vkey })).index, 6, 'an extra line means nothing');
  for (const [from, to, reason] of [['index 6', 'index 5', /lead/], ['index 6', 'index 11', /lead/], ['index 6', 'index 06', /plain number/],
    ['index 6', 'index 9007199254740992', /plain number/],
    ['index 6\n', '', /plain number/], ['@v1', '@v2', /form/], [hashes[0], '', /lead/], [hashes[0], hashes[0] + hashes[0], /lead/],
    [hashes[0] + hashes[1], hashes[1] + hashes[0], /lead/], [hashes[0], 'AAAA\n', /form/], [hashes[0], hashes[0].repeat(65), /form/],
    ['\nindex', '\nextra \nindex', /form/], ['\nindex', '\nextra AB==\nindex', /base64/], ['\nindex', '\nextra AA==\nextra AA==\nindex', /form|base64/]]) {
    await refused(verifyEntry({ leaf, proof: proof.replace(from, to), vkey }), reason, `${from} for ${to}`);
  }
  for (const bad of [`${proof}\n`, `${proof}x`, `\n${proof}`, `\ufeff${proof}`, undefined]) await refused(verifyEntry({ leaf, proof: bad, vkey }), /./, bad);
  const shorter = checkpointText(GATEWAYS[0], leaves.slice(0, 7));
  const cut = `${proof.slice(0, proof.indexOf('\n\n'))}\n\n${signed(shorter, log.line(shorter))}`;
  await refused(verifyEntry({ leaf, proof: cut, vkey }), /lead/, 'a shorter tree');
  await refused(verifyEntry({ leaf: leaves[5], proof, vkey }), /lead/, 'another entry');
  await refused(verifyEntry({ leaf, proof, vkey: makeKey(GATEWAYS[0]).vkey }), /not signed/, 'another key');
  await refused(verifyEntry({ leaf: [...leaf], proof, vkey }), /form/, 'no bytes');
  await refused(verifyEntry(receipt(6, 11, { sequence: 5 })), /elsewhere/, 'an entry that says another place');
  const last = receipt(10, 11, { sequence: 11 });
  await refused(verifyEntry({ ...last, proof: last.proof.replace('index 10', 'index 11') }), /lead/, 'an entry behind the last one');
  await refused(verifyEntry(receipt(6, 11, { writes: GATEWAYS[1] })), /another log/, 'an entry of another log');
  await refused(verifyEntry(receipt(6, 11, { kind: 3 })), /destination/, 'a leaf that is no entry');
});

// ---- Histories

const honest = site();

test('a history tells every entry of its days, and the days without', async () => {
  const told = await check(honest.told());
  assert.deepEqual({ ...told, days: 0, entries: 0 }, { origin: SITE, size: 6, root: hex(root(honest.leaves)), signers: ['witness.test'],
    cosigned: 1_800_000_000, from: dayText(FIRST - 2), to: dayText(FIRST + 4), days: 0, entries: 0 });
  const days = [[-2, false, 0, false], [-1, false, 0, false], [0, true, 4, true], [1, true, 0, true],
    [2, true, 2, true], [3, true, 2, true], [4, false, 2, true]];
  assert.deepEqual(told.days, days.map(([day, final, entries, covered]) => ({ day: dayText(FIRST + day), final, entries, covered })));
  assert.equal(told.entries.length, 10);
  assert(told.entries.every((one, n) => n === 0 || told.entries[n - 1].unix <= one.unix), 'by time');
  assert.deepEqual([...new Set(told.entries.map((one) => one.mode))].sort(), ['list', 'tags']);
  assert.deepEqual(new Set(told.entries.map((one) => one.origin)), new Set(GATEWAYS));
  assert(told.entries.every((one) => one.index === one.sequence && one.day === one.time.slice(0, 10)));
});

test('shorter periods need less', async () => {
  const over = await check(honest.told(FIRST, FIRST + 3));
  assert(over.days.every((day) => day.final) && over.entries.length === 8);
  const without = await check(honest.told(FIRST + 1, FIRST + 1));
  assert.deepEqual([without.days.length, without.entries], [1, []]);
  const before = await check(honest.told(FIRST - 3, FIRST - 1));
  assert.deepEqual(before.days.map((day) => [day.covered, day.final]), Array(3).fill([false, false]));
  // No day is over yet: an interim map alone, which counts no record.
  const alone = site({ body: (body, day) => (day === FIRST + 4 ? [...body.slice(0, 6), EMPTY, 0] : body) });
  const young = changed(alone.told(FIRST + 4, FIRST + 4), (told) => { told.delete(6); told.delete(7); });
  assert.deepEqual((await check(young)).days.map((day) => day.final), [false]);
  await refused(check(changed(honest.told(FIRST + 4, FIRST + 4), (told) => { told.delete(6); told.delete(7); })), /another calendar/, 'it counts some');
  await refused(check(changed(young, (told) => { told.set(3, FIRST + 3); told.get(9).unshift([]); })), /is left out/, 'before the first record of none');
  await refused(check(changed(young, (told) => told.delete(8))), /no day map/, 'no map at all');
});

test('about three hundred changed bytes of a history are refused, and every cut', async () => {
  const file = cbor(honest.told()), stride = Math.ceil(file.length / 300);
  for (let at = 0; at < file.length; at += stride) {
    const bad = Buffer.from(file);
    bad[at] ^= 1 << (at % 8);
    await refused(check(bad), /./, `byte ${at}`);
  }
  for (let end = 0; end < file.length; end += 97) await refused(check(file.subarray(0, end)), /CBOR/, `cut at ${end}`);
});

test('a history in another form is refused', async () => {
  const file = cbor(honest.told()), tail = file.subarray(2), form = /CBOR|form/, period = /not those of its period/;
  await refused(check(Buffer.concat([file, Buffer.of(0)])), /follows its end/, 'a trailing byte');
  await refused(check(Buffer.concat([file.subarray(0, 1), Buffer.of(0x18, 0), tail])), /shortest/, 'a key in two bytes');
  await refused(check(Buffer.concat([Buffer.of(0xbf), file.subarray(1), Buffer.of(0xff)])), /another type/, 'an indefinite length');
  await refused(check(Buffer.concat([Buffer.of(0xb8, file[0] & 31), file.subarray(1)])), /shortest/, 'a length in two bytes');
  for (const [what, bytes, reason] of [['nothing', Buffer.alloc(0), /too early/], ['a number', cbor(7), form], ['a list', cbor([]), form],
    ['nested', Buffer.alloc(100_000, 0x81), /too deep/], ['huge', Buffer.of(0x9b, 0, 0, 0, 255, 0, 0, 0, 0), /early/], ['null', Buffer.of(0xf6), /type/],
    ['uncountable', Buffer.of(0x1b, 255, 0, 0, 0, 0, 0, 0, 0), /count/], ['negative', Buffer.of(0x20), /type/], ['tagged', Buffer.of(0xc0, 0), /type/],
    ['keys that fall', cbor(new Map([[1, 0], [0, 0]])), /ascend/], ['a key twice', Buffer.of(0xa2, 0, 0, 0, 0), /ascend/],
    ['a text as key', cbor(new Map([['a', 0]])), /keys/],
    ['no UTF-8', Buffer.of(0x61, 0xff), /UTF-8/], ['half a number', Buffer.of(0x19, 1), /cut short/]]) {
    await refused(check(bytes), reason, what);
  }
  await refused(verifyHistory({ file: [...file], siteVkey: KEYS.site.vkey, policy: POLICY }), /no file/, 'no bytes');
  const lies = {
    'an unknown key': [(told) => told.set(11, 0), form],
    'another format': [(told) => told.set(0, 'clover subject history v2'), /another format/],
    'no name of the logs': [(told) => told.set(1, Buffer.from('logs')), form],
    'a short key': [(told) => told.set(2, TAG_KEY.subarray(1)), form],
    'a period that falls': [(told) => { told.set(3, FIRST + 5); }, period],
    'a period too long': [(told) => { told.set(3, FIRST - 3656); }, period],
    'a day too far': [(told) => { told.set(3, 2 ** 32 - 1); told.set(4, 2 ** 32); }, period],
    'a day as text': [(told) => told.set(3, 'x'), form],
    'no days': [(told) => told.set(9, []), period],
    'a day of two parts': [(told) => told.get(9)[2].pop(), form],
    'half a hash': [(told) => { const day = told.get(9)[2]; day[2] = day[2].subarray(1); }, form],
    'half a pair': [(told) => { const day = told.get(9)[2]; day[1] = day[1].subarray(1); }, form],
    'a neighbour too short': [(told) => { const day = told.get(9)[3]; day[1] = day[1].subarray(1); }, form],
    'a calendar cut': [(told) => told.set(7, told.get(7).subarray(1)), form],
    'no calendar': [(told) => told.delete(7), /not its calendar/],
    'a calendar of nothing': [(told) => told.delete(6), /not its calendar/],
    'a log of two parts': [(told) => told.get(10)[0].pop(), form],
    'a checkpoint of bytes': [(told) => told.set(5, Buffer.from(told.get(5))), form],
    'a checkpoint with a mark before it': [(told) => told.set(5, `\ufeff${told.get(5)}`), /false|not signed/],
  };
  for (const [what, [lie, reason]] of Object.entries(lies)) await refused(check(changed(honest.told(), lie)), reason, what);
  for (const key of [0, 1, 2, 3, 4, 5, 9, 10]) await refused(check(changed(honest.told(), (told) => told.delete(key))), form, `without ${key}`);
});

test('a history that hides something is refused', async () => {
  const day = (told, n) => told.get(9)[n + 2];
  const cutList = (told) => { day(told, 0)[1] = day(told, 0)[1].subarray(16); };
  const other = honest.found(FIRST, sha(u64(FIRST), u64(0)).subarray(0, 16));
  const absent = site({ pairs: (all, of) => (of === FIRST + 2 ? all.filter(([tag]) => !tag.equals(tagOf(of))) : all) });
  const lies = {
    'a day is missing': [(told) => told.get(9).pop(), /not those of its period/],
    'a day is there twice': [(told) => told.get(9).push(told.get(9)[6]), /not those of its period/],
    'a day is left out as before the record': [(told) => { told.get(9)[3] = []; }, /2024-10-05 is left out/],
    'two days change places': [(told) => { const days = told.get(9); [days[4], days[5]] = [days[5], days[4]]; }, /2024-10-06/],
    'the first day is left out as before the record': [(told) => { told.get(9)[2] = []; }, /2024-10-04 is left out/],
    'another day as absent': [(told) => { told.get(9)[2] = day(told, 1); }, /2024-10-04/],
    'an absence before the record': [(told) => { told.get(9)[0] = day(told, 1); }, /2024-10-02 is in no day map/],
    'an entry left out of a list': [cutList, /list of the day 2024-10-04/],
    'an entry left out of list and log': [(told) => { cutList(told); told.get(10).forEach((log) => log[1].shift()); }, /list of the day/],
    'a list upside down': [(told) => {
      const list = day(told, 0)[1];
      day(told, 0)[1] = Buffer.concat([list.subarray(16), list.subarray(0, 16)]);
    }, /ascending/],
    'an empty list': [(told) => { day(told, 0)[1] = Buffer.alloc(0); }, /empty/],
    'a list at another place': [(told) => { day(told, 0)[0] += 1; }, /not the one of its day map/],
    'a list at an impossible place': [(told) => { day(told, 0)[0] = 1000; }, /not the one of its day map/],
    'a proof with a hash more': [(told) => { day(told, 0)[2] = Buffer.concat([day(told, 0)[2], EMPTY]); }, /not the one of its day map/],
    'a proof with a hash too few': [(told) => { day(told, 0)[2] = day(told, 0)[2].subarray(32); }, /not the one of its day map/],
    "somebody else's list": [(told) => { told.get(9)[2] = other; }, /list of the day 2024-10-04/],
    'neighbours that do not enclose the tag': [(told) => { told.get(9)[4] = absent.found(FIRST + 2, Buffer.alloc(16, 1)); }, /somebody else/],
    'the sentinels as neighbours of a full map': [(told) => { const map = honest.maps.get(FIRST);
      told.get(9)[2] = [0, map[0], map.at(-1), several([0, map.length - 1], map)]; }, /not proved/],
    'an absence at another place': [(told) => { day(told, 1)[0] = 1; }, /not proved/],
    'an absence of another map': [(told) => { told.get(9)[4] = absent.found(FIRST + 2); }, /not proved/],
    'an entry left out of a log': [(told) => told.get(10)[0][1].pop(), /not those that the days name/],
    'an entry too many': [(told) => told.get(10)[0][1].push(entry()), /not those that the days name/],
    'a log left out': [(told) => told.get(10).pop(), /left out/],
    'the first log left out': [(told) => told.get(10).shift(), /not those that the days name/],
    'logs in another order': [(told) => told.get(10).reverse(), /not those that the days name/],
    'a log twice': [(told) => told.get(10).push(told.get(10)[1]), /not those that the days name/],
    'a log that is not asked for': [(told) => told.get(10).push(['ledger.test/site/three', [], Buffer.alloc(0)]), /not those that the days name/],
    'another entry': [(told) => { const leaves = told.get(10)[0][1]; leaves[0] = leaves[1]; }, /not proved to be in what the day map read/],
    'a log with another proof': [(told) => { told.get(10)[0][2] = told.get(10)[1][2]; }, /not proved to be in what the day map read/],
    'the anchor at another place': [(told) => { told.get(6)[0] = 3; }, /not proved/],
    'the anchor is outside of the tree': [(told) => told.set(6, [6, honest.leaves[4], root(honest.leaves)]), /not proved/],
    'the anchor is older': [(told) => told.set(6, [3, honest.leaves[3], several([3], honest.leaves)]), /calendar is not/],
    'the anchor is not final': [(told) => told.set(6, told.get(8)), /newest final day map is not of the form/],
    'the interim map is final': [(told) => told.set(8, told.get(6)), /interim day map is not of the form/],
    'the anchor is another kind of entry': [(told) => told.set(6, [0, honest.leaves[0], several([0], honest.leaves)]), /place or kind/],
    'a record is left out': [(told) => told.set(7, told.get(7).subarray(52)), /calendar is not/],
    'the last record is left out': [(told) => told.set(7, told.get(7).subarray(0, -52)), /calendar is not/],
    'the interim map is left out': [(told) => told.delete(8), /2024-10-08 is in no day map/],
    "another person's key": [(told) => told.set(2, Buffer.alloc(32, 8)), /./],
    'another set of logs': [(told) => told.set(1, 'log'), /./],
    'another period': [(told) => { told.set(3, FIRST - 1); told.set(4, FIRST + 5); }, /./],
  };
  for (const [what, [lie, reason]] of Object.entries(lies)) await refused(check(changed(honest.told(), lie)), reason, what);
});

test('a checkpoint that the wrong people signed proves nothing', async () => {
  const { head } = honest, told = (note) => changed(honest.told(), (file) => file.set(5, note));
  const mine = KEYS.site.line(head), cosigned = KEYS.witness.line(head, 1);
  assert.equal((await check(told(signed(head, cosigned, mine)))).cosigned, 1);
  await refused(check(told(signed(head, mine))), /whom the policy asks for/, 'no witness');
  await refused(check(told(signed(head, mine, KEYS.other.line(head, 1)))), /whom the policy asks for/, 'a witness of nobody');
  await refused(check(told(signed(head, cosigned))), /not signed by site/, 'only the witness');
  await refused(check(told(signed(head, KEYS.stranger.line(head), cosigned))), /not signed by site/, 'another key of that name');
  const shorter = checkpointText(SITE, honest.leaves.slice(0, 5));
  await refused(check(told(signed(shorter, KEYS.site.line(shorter), KEYS.witness.line(shorter, 1)))), /not proved to be in the site log/, 'a shorter tree');
  await refused(check(told(signed(shorter, mine, cosigned))), /is false/, 'signatures of another text');
  const policy = (key) => `log ${key.vkey}\nwitness w ${KEYS.witness.vkey}\nquorum w\n`;
  await refused(check(honest.told(), { policy: policy(KEYS.stranger) }), /does not name the log/, 'the policy has another key');
  await refused(check(honest.told(), { siteVkey: KEYS.stranger.vkey }), /does not name the log/, 'the reader has another key');
  await refused(check(honest.told(), { siteVkey: KEYS.stranger.vkey, policy: policy(KEYS.stranger) }), /not signed/, 'both have another key');
  await refused(check(honest.told(), { policy: undefined }), /policy/, 'no policy');
  const nobody = await check(honest.told(), { policy: `log ${KEYS.site.vkey}\nquorum none\n` });
  assert.deepEqual([nobody.signers, nobody.cosigned], [[], null]);
});

test('what a site signed and does not fit together is refused', async () => {
  const of = (day, change) => ({ body: (body, at) => (at === day ? change(body) : body) });
  const put = (key, value) => (body) => body.with(key, value);
  const [last, interim] = [FIRST + 3, FIRST + 4], form = /not of the form/;
  const inputs = (change) => (body) => body.with(5, change(body[5]));
  const lies = [
    ['a calendar that ends with another map', of(last, put(2, EMPTY)), /calendar is not/],
    ['with another number of tags', of(last, (body) => body.with(3, body[3] + 1)), /calendar is not/],
    ['with another number of pairs', of(last, (body) => body.with(4, body[4] + 1)), /calendar is not/],
    ['another root of the calendar', of(last, put(6, EMPTY)), /calendar is not/],
    ['another size of the calendar', of(last, put(7, 3)), /calendar is not/],
    ['an interim map of another calendar', of(interim, put(6, EMPTY)), /another calendar/],
    ['an interim map that counts too many', of(interim, put(7, 5)), /another calendar/],
    ['an interim map of a day that is over', of(interim, put(0, last)), /later day/],
    ['an interim map of a day far off', of(interim, put(0, FIRST + 9)), /2024-10-08 is in no day map/],
    ['a day beyond four bytes', of(interim, put(0, 2 ** 32)), form],
    ['a root too short', of(interim, put(2, EMPTY.subarray(1))), form],
    ['a key too many', of(interim, (body) => [...body, 0]), form],
    ['a key too few', of(interim, (body) => body.slice(0, 7)), form],
    ['inputs that do not ascend', of(interim, inputs((all) => all.toReversed())), form],
    ['an input twice', of(interim, inputs(([one]) => [one, one])), form],
    ['an input that ends before it begins', of(interim, inputs((all) => [all[0], all[1].with(1, 99)])), form],
    ['an input without a name', of(interim, inputs((all) => [all[0].with(0, ''), all[1]])), form],
    ['an input with a long name', of(interim, inputs((all) => [all[0].with(0, 'a'.repeat(501)), all[1]])), form],
    ['an input with a line break', of(interim, inputs((all) => [all[0].with(0, 'a\nb'), all[1]])), form],
    ['an input left out', of(interim, inputs(([one]) => [one])), /not proved to be in what the day map read/],
    ['an input of another root', of(interim, inputs((all) => all.map((one) => one.with(3, EMPTY)))), /not proved to be in what the day map read/],
    ['an entry beyond its input', of(interim, inputs((all) => all.map((one) => one.with(2, 3)))), /not proved to be in what the day map read/],
    ['a pair on two days', {
      pairs: (all, day) => (day === FIRST + 1 ? [[tagOf(day), Buffer.concat([short(GATEWAYS[0]), u64(1)])]] : all),
    }, /an entry of another day/],
    ['an entry of another day', { entry: { time: (FIRST + 9) * 86400 } }, /of another day than the map/],
    ['an entry that says another place', { entry: { sequence: 999 } }, /elsewhere/],
    ['an entry that names nobody', { entry: { tags: [] } }, /does not name this person/],
    ['an entry that names another', { entry: { tags: [Buffer.alloc(16, 1)] } }, /does not name this person/],
    ['an entry that is none', { entry: { kind: 15 } }, /kind/],
  ];
  for (const [what, lie, reason] of lies) await refused(check(site(lie).told()), reason, what);
  const more = inputs((all) => [['a'.repeat(500), 0, 0, EMPTY], ['b', 9, 9, EMPTY], ...all]);
  assert.equal((await check(site(of(interim, more)).told())).entries.length, 10, 'other logs are read too');
  const records = honest.records.toSpliced(1, 1);
  const skipping = of(last, (was) => was.with(6, root(records)).with(7, 3));
  const gapped = changed(site(skipping).told(FIRST, FIRST + 3), (told) => told.set(7, Buffer.concat(records)));
  await refused(check(gapped), /gap/, 'a calendar with a gap');
});

// ---- The command line

test('the command line tells what the module tells', (t) => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'clover-verify-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const { leaf, proof, vkey } = receipt(6, 11), file = cbor(honest.told());
  const bad = Buffer.from(file);
  bad[bad.length >> 1] ^= 1;
  const files = { history: file, bad, site: `${KEYS.site.vkey}\n`, policy: POLICY, leaf, proof, vkey: `${vkey}\n` };
  for (const [name, bytes] of Object.entries(files)) writeFileSync(path.join(folder, name), bytes);
  const run = (...args) => {
    const script = fileURLToPath(new URL('verify.mjs', import.meta.url));
    const { status, stdout } = spawnSync(process.execPath, [script, ...args], { cwd: folder, encoding: 'utf8' });
    return [status, stdout];
  };
  const keys = ['--site-vkey', 'site', '--policy', 'policy'], [code, line] = run('history', 'history', ...keys);
  assert.deepEqual([code, JSON.parse(line).entries.length, line.trim().split('\n').length], [0, 10, 1]);
  const [refusedCode, finding] = run('history', 'bad', ...keys);
  assert.equal(refusedCode, 1);
  assert.match(finding, /^finding: /);
  const [shown, told] = run('entry', '--leaf', 'leaf', '--proof', 'proof', '--vkey', 'vkey');
  assert.deepEqual([shown, JSON.parse(told).index], [0, 6]);
  assert.equal(run('entry', '--leaf', 'vkey', '--proof', 'proof', '--vkey', 'vkey')[0], 1);
  for (const args of [[], ['history'], ['history', 'history'], ['history', 'history', ...keys, 'more'], ['entry', 'leaf'], ['toString'],
    ['history', 'history', ...keys, '--leaf', 'leaf'], ['entry', '--leaf', 'leaf', '--proof', 'proof', '--vkey', 'vkey', '--x']]) {
    assert.equal(run(...args)[0], 64, args.join(' '));
  }
  assert.equal(run('history', 'nothing', ...keys)[0], 66);
});
