// Checks Clover's ledger proofs in the reader's own browser: receipts (C2SP tlog-proof) and a person's history, as docs/formats say
// (entry, day-map, site-log, witness). It believes the keys and the policy that it is given, asks nobody, and refuses whatever it
// does not understand.

const FILE_MAX = 256 << 20, NOTE_MAX = 1 << 20, POLICY_MAX = 1 << 18, SIGNATURES_MAX = 100, DAYS_MAX = 3660, DAY = 86400;
/** Types of C2SP keys that are checked here. */
const LOG = 1, COSIGNER = 4, KNOWN = [LOG, COSIGNER];

/** Something does not hold. The message is for people. */
export class ProofError extends Error {
  name = 'ProofError';
}

function need(holds, text) {
  if (!holds) throw new ProofError(text);
}

// ---- Bytes and text

const encoder = new TextEncoder();
// A byte order mark is kept: without it, two different files would be the same text.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

/** Standard base64 in the one form that an encoder writes: `atob` alone takes others too. */
export function fromBase64(text) {
  try {
    const raw = atob(text);
    if (btoa(raw) === text) return Uint8Array.from(raw, (one) => one.charCodeAt(0));
  } catch { /* refused below */ }
  throw new ProofError('a value is not base64 in its one form');
}

/** Days since 1970-01-01 UTC as `YYYY-MM-DD`. */
export const dayText = (day) => instant(day * DAY).slice(0, 10);

function instant(seconds) {
  need(seconds >= 0 && seconds < 253402300800, 'a time is beyond the year 9999');
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
}

function concat(...parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (all.set(part, at), at + part.length), 0);
  return all;
}

function chunks(bytes, length) {
  return Array.from({ length: bytes.length / length }, (_, i) => bytes.subarray(i * length, (i + 1) * length));
}

/** Big-endian. Beyond 2^53 JavaScript does not count exactly: nothing there is believed. */
function uint(bytes, at, length) {
  let value = 0;
  for (let i = at; i < at + length; i++) value = value * 256 + bytes[i];
  need(Number.isSafeInteger(value), 'a number is larger than this check can count, or cut short');
  return value;
}

const u32 = (value) => Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
/** A number of so many bytes as `hex` tells it; digits of one length have the order of their bytes. */
const digits = (value, length) => value.toString(16).padStart(2 * length, '0');
const ascend = (list) => list.every((one, i) => i === 0 || list[i - 1] < one);

function decimal(text, what) {
  need(/^(0|[1-9][0-9]*)$/.test(text) && Number.isSafeInteger(Number(text)), `${what} is no plain number`);
  return Number(text);
}

// ---- Hashes, trees and signatures

const subtle = globalThis.crypto?.subtle;

async function sha(...parts) {
  need(subtle, 'this browser has no cryptography for this page: that needs https');
  return new Uint8Array(await subtle.digest('SHA-256', concat(...parts)));
}

const leafHash = (leaf) => sha([0], leaf);
const nodeHash = (left, right) => sha([1], left, right);
/** How leaves name a log. */
const shortName = async (origin) => hex(await sha(encoder.encode(origin))).slice(0, 16);

/** Where a tree of so many leaves splits: the largest power of two that is less. */
function half(size) {
  let power = 1;
  while (power * 2 < size) power *= 2;
  return power;
}

/** The root of an RFC 6962 tree over all its leaves. */
async function rootOf(leaves) {
  if (leaves.length < 2) return leaves.length === 0 ? sha() : leafHash(leaves[0]);
  const middle = half(leaves.length);
  return nodeHash(...await Promise.all([rootOf(leaves.slice(0, middle)), rootOf(leaves.slice(middle))]));
}

/** The root to which a path leads (RFC 6962, 2.1.1); none if it is too short or too long. */
async function climb(path, leaf, index, size) {
  if (size === 1) return path.length === 0 ? leaf : undefined;
  const middle = half(size), beside = path.at(-1), right = index >= middle;
  const inner = beside && await climb(path.slice(0, -1), leaf, right ? index - middle : index, right ? size - middle : middle);
  return inner && (right ? nodeHash(beside, inner) : nodeHash(inner, beside));
}

/** Whether one proof shows these leaves, `[index, bytes]` (day-map.md, "Proof of several leaves"). */
async function shows(proof, leaves, size, root) {
  const indices = leaves.map(([index]) => index);
  if (leaves.length === 0 || !ascend(indices) || indices.at(-1) >= size) return false;
  const hashes = await Promise.all(leaves.map(([, leaf]) => leafHash(leaf))), others = chunks(proof, 32);
  let [next, used] = [0, 0];
  const within = async (from, to) => {
    if (next === leaves.length || indices[next] >= to) return others[used++];
    if (to - from === 1) return hashes[next++];
    const middle = from + half(to - from), left = await within(from, middle), right = await within(middle, to);
    return left && right && nodeHash(left, right);
  };
  const found = await within(0, size);
  return found !== undefined && used === others.length && hex(found) === root;
}

async function isSigned(key, message, signature) {
  if (signature.length !== 64) return false;
  try {
    const imported = await subtle.importKey('raw', key, 'Ed25519', false, ['verify']);
    return await subtle.verify('Ed25519', imported, signature, encoder.encode(message));
  } catch {
    throw new ProofError('this browser cannot check an Ed25519 signature, or the key is none');
  }
}

// ---- Notes and checkpoints (C2SP signed-note, tlog-checkpoint, tlog-cosignature)

const isName = (name) => name !== '' && !/[\s+\u0085\p{Cc}]/u.test(name);

/** A verifier key. One of a type that is unknown here is given back too, and never has signed anything. */
export async function parseVkey(text) {
  const [, name, id, encoded] = /^[ \t\r\n]*([^+]+)\+([0-9a-f]{8})\+([^ \t\r\n]+)[ \t\r\n]*$/.exec(text) ?? [];
  need(encoded && isName(name), 'a verifier key is not of the form `name+id+key`');
  const bytes = fromBase64(encoded), type = bytes[0], key = bytes.subarray(1);
  if (KNOWN.includes(type)) {
    const own = hex(await sha(encoder.encode(`${name}\n`), bytes)).slice(0, 8);
    need(key.length === 32 && own === id, `the verifier key ${name} is not of 32 bytes, or its id is that of another`);
  }
  return { name, id, type, key };
}

async function logKey(text) {
  const key = await parseVkey(text);
  need(key.type === LOG, `the verifier key ${key.name} is not that of a log`);
  return key;
}

function parseNote(note) {
  const isNote = typeof note === 'string' && note.length <= NOTE_MAX && note.endsWith('\n') && !/[\0-\t\v-\x1f]/.test(note);
  // The text may have blank lines too: the last one separates.
  const cut = isNote ? note.lastIndexOf('\n\n') : -1;
  need(cut >= 0, 'the checkpoint is not a text, a blank line and signatures');
  const lines = note.slice(cut + 2, -1).split('\n');
  need(lines.length <= SIGNATURES_MAX, 'the checkpoint has too many signatures');
  const signatures = lines.map((line) => {
    const [dash, name, encoded, ...more] = line.split(' '), blob = fromBase64(encoded);
    need(dash === '\u2014' && isName(name) && blob.length > 4 && more.length === 0, 'a signature of the checkpoint is malformed');
    return { name, id: hex(blob.subarray(0, 4)), blob: blob.subarray(4) };
  });
  return { text: note.slice(0, cut + 1), signatures };
}

/** Which of the keys signed, and when (0 for a log's). A bad signature of any of them refuses the whole note. */
async function signersOf({ text, signatures }, keys) {
  const times = new Map();
  for (const { name, id, blob } of signatures) {
    const [key, other] = keys.filter((known) => known.name === name && known.id === id && KNOWN.includes(known.type));
    if (!key) continue;
    // Ids are short and made to collide with ease: guessing would let one key pass for another.
    need(!other, `two different keys are both called ${name}+${id}`);
    const cosigns = key.type === COSIGNER, time = cosigns ? uint(blob, 0, 8) : 0;
    const [message, signature] = cosigns ? [`cosignature/v1\ntime ${time}\n${text}`, blob.subarray(8)] : [text, blob];
    need(await isSigned(key.key, message, signature), `the signature of ${name} on the checkpoint is false`);
    times.set(key, Math.max(time, times.get(key) ?? 0));
  }
  return times;
}

/** The checkpoint that `log` signed, and when those of the cosigners signed that did. */
async function open(note, log, cosigners) {
  const times = await signersOf(note, [log, ...cosigners]);
  need(times.delete(log), `the checkpoint is not signed by ${log.name}`);
  const lines = note.text.split('\n').slice(0, -1), [origin, second, third] = lines;
  const size = decimal(second, 'the size of the checkpoint'), root = hex(fromBase64(third));
  need(origin === log.name, `the checkpoint is of the log ${origin}, and signed by ${log.name}`);
  const isRoot = root.length === 64 && (size > 0 || root === hex(await sha()));
  need(isRoot && !lines.includes(''), 'a checkpoint is an origin, a size and a root');
  return { checkpoint: { origin, size, root }, times };
}

/** What a log says of itself, if its key signed it. */
export async function openCheckpoint(noteText, vkeyText) {
  return (await open(parseNote(noteText), await logKey(vkeyText), [])).checkpoint;
}

// ---- Who must have cosigned (C2SP tlog-policy)

async function parsePolicy(file) {
  const isPolicy = typeof file === 'string' && file.length <= POLICY_MAX && !/[\0-\b\v-\x1f\x7f]/.test(file);
  need(isPolicy && file.endsWith('\n'), 'the policy of witnesses is no text, or cut short');
  // In the order of the file: a group has only members that stand before it.
  const logs = [], witnesses = [], defined = new Map(), members = new Set();
  const add = async (keys, type, text) => {
    const key = await parseVkey(text), isNew = !keys.some((known) => hex(known.key) === hex(key.key));
    need(isNew && (key.type === type || !KNOWN.includes(key.type)), `the policy has the key ${key.name} twice, or as another kind`);
    return keys[keys.push(key) - 1];
  };
  const define = (name, rule) => {
    need(name !== 'none' && !defined.has(name), `the policy defines ${name} twice`);
    defined.set(name, rule);
  };
  let quorum;
  for (const line of file.split('\n')) {
    const words = line.split(/[ \t]+/).filter((word) => word !== ''), [what, name, third, ...rest] = words;
    const is = (word, least, most) => what === word && words.length >= least && words.length <= most;
    if (what === undefined || what.startsWith('#')) continue;
    if (is('log', 2, 3)) await add(logs, LOG, name);
    else if (is('witness', 3, 4)) define(name, { key: await add(witnesses, COSIGNER, third) });
    else if (is('group', 4, Infinity)) {
      const free = rest.every((member) => defined.has(member) && !members.has(member) && members.add(member));
      const count = third === 'any' ? 1 : third === 'all' ? rest.length : decimal(third, 'a number of the policy');
      need(free && count >= 1 && count <= rest.length, `the policy's group ${name} has unknown members, the same twice, or too few`);
      define(name, { names: rest, count });
    } else {
      const isOnly = is('quorum', 2, 2) && quorum === undefined && (name === 'none' || defined.has(name));
      need(isOnly, 'a line of the policy is unknown, a second quorum, or one that is not defined before');
      quorum = name;
    }
  }
  need(quorum !== undefined, 'the policy names no quorum');
  return { logs, witnesses, defined, quorum };
}

/** The checkpoint of a log of the policy (of just this one, if it is given), and what the quorum says of it. */
async function cosigned(note, { logs, witnesses, defined, quorum }, log) {
  const name = log ? log.name : note.text.split('\n', 1)[0];
  const own = logs.filter((key) => key.name === name && key.type === LOG && (!log || hex(key.key) === hex(log.key)));
  need(own.length > 0, `the policy does not name the log ${name} with its key`);
  let opened, problem;
  // A log may have several keys, each on a line of its own.
  for (const key of own) opened ??= await open(note, key, witnesses).catch((error) => void (problem ??= error));
  if (!opened) throw problem;
  const { checkpoint, times } = opened;
  // Nobody is asked for: then nobody vouches, whoever signed.
  if (quorum === 'none') return { checkpoint, signers: [], time: null };
  const isMet = (since) => {
    const met = new Map();
    for (const [one, { key, names, count }] of defined) {
      met.set(one, key ? times.get(key) >= since : names.filter((member) => met.get(member)).length >= count);
    }
    return met.get(quorum);
  };
  // The newest moment since which the quorum as a whole has signed: older cosignatures were not needed.
  const time = [...times.values()].sort((one, other) => other - one).find(isMet);
  need(time !== undefined, 'the checkpoint is not signed by the witnesses whom the policy asks for');
  return { checkpoint, signers: witnesses.filter((key) => times.has(key)).map((key) => key.name), time };
}

/** Who cosigned a checkpoint, and since when the quorum vouches; `[]` and `null` under `quorum none`. */
export async function checkQuorum(noteText, policyText) {
  const { signers, time } = await cosigned(parseNote(noteText), await parsePolicy(policyText));
  return { signers, time };
}

// ---- Deterministic CBOR (RFC 8949, 4.2.1)

function cbor(data, what) {
  const right = (holds, why) => need(holds, `${what} is not in deterministic CBOR: ${why}`);
  let at = 0;
  const item = (depth) => {
    right(at < data.length && depth < 8, 'it ends too early, or is nested too deep');
    const first = data[at++], major = first >> 5, info = first & 31;
    if (first === 0xf4 || first === 0xf5) return first === 0xf5;
    right([0, 2, 3, 4, 5].includes(major) && info < 28, 'an item of another type');
    let count = info;
    if (info > 23) {
      const width = 1 << (info - 24);
      count = uint(data, at, width);
      at += width;
      right(count >= [24, 2 ** 8, 2 ** 16, 2 ** 32][info - 24], 'a number is not in its shortest form');
    }
    if (major === 0) return count;
    // Whatever is counted takes a byte at least, so that no count is believed.
    right(count <= data.length - at, 'it ends too early');
    if (major < 4) {
      const part = data.subarray(at, at += count);
      if (major === 2) return part;
      try {
        return decoder.decode(part);
      } catch {
        return right(false, 'a text is not UTF-8');
      }
    }
    if (major === 4) return Array.from({ length: count }, () => item(depth + 1));
    const map = new Map();
    for (let last = -1; map.size < count;) {
      const key = item(depth + 1);
      right(typeof key === 'number' && key > last, 'keys are no numbers, or do not ascend');
      map.set(last = key, item(depth + 1));
    }
    return map;
  };
  const value = item(0);
  right(at === data.length, 'something follows its end');
  return value;
}

const isBytes = (value, size) => value instanceof Uint8Array && value.length % size === 0;
/** What a letter of a form stands for; capitals may be absent. */
const FORMS = {
  n: (value) => typeof value === 'number', t: (value) => typeof value === 'string', o: (value) => typeof value === 'boolean',
  l: Array.isArray, b: (value) => isBytes(value, 1), p: (value) => isBytes(value, 16), h: (value) => isBytes(value, 32),
  r: (value) => isBytes(value, 32) && value.length === 32, m: (value) => isBytes(value, 52) && value.length === 52,
  L: (value) => value === undefined || Array.isArray(value), C: (value) => value === undefined || isBytes(value, 52),
};

/** A list whose members are of the form, one letter each; a list of any length where there is none. */
function fit(list, form, what) {
  const fits = Array.isArray(list) && list.length === (form ?? list).length && (!form || list.every((value, i) => FORMS[form[i]](value)));
  need(fits, `${what} is not of the form of docs/formats`);
  return list;
}

// ---- Entries (entry.md)

const KINDS = ' answer refusal import activation border open extend close suspension demand erasure home inside migration'.split(' ');
const PURPOSES = ' support safety fraud billing research legalRequest interoperability incident selfAccess migration operation'.split(' ');
const REASONS = (' policy evaluation request evidence malformed limit finding unknown upstream subject threshold border budget assessment '
  + 'suspended rulebook privacy difference').split(' ');
const CLASSES = ['public', 'allowable', 'restricted'];
const TREATMENTS = ['plain', 'pseudonymised', 'generalised', 'masked', 'aggregate', 'differentially private'];
const MODES = ['none', 'tags', 'list', 'population'], OUTCOMES = ['', 'complete', 'broken off', 'unknown'];

/** The header of an entry in words. Bytes are hexadecimal digits; what an entry has not is `null`. Facts are not read. */
export async function decodeEntry(leaf) {
  need(isBytes(leaf, 1) && leaf.length >= 256 && leaf.length <= 256 + 4096, 'an entry has 256 to 4352 bytes');
  const at = (from, length) => hex(leaf.subarray(from, from + length));
  const isZero = (from, to) => !leaf.subarray(from, to).some((byte) => byte !== 0);
  const orNull = (from, length) => (isZero(from, from + length) ? null : at(from, length));
  const set = (bits, words) => words.filter((_, i) => bits & (1 << i));
  const country = (from) => String.fromCharCode(leaf[from], leaf[from + 1]);

  const [kind, direction, decision] = leaf.subarray(5, 8), [classes, treatments] = leaf.subarray(86, 88);
  const [sequence, time, bytes, open, lease] = [16, 24, 96, 232, 240].map((from) => uint(leaf, from, 8));
  const [purpose, reason, findings] = [80, 88, 90].map((from) => uint(leaf, from, 2)), [place, destination] = [82, 84].map(country);
  const [mode, count] = leaf.subarray(156, 158), subjects = uint(leaf, 92, 4), outcome = leaf[248], facts = leaf.length - 256;
  const tags = mode === 1 ? chunks(leaf.subarray(160, 224), 16).slice(0, count).map(hex) : [];
  const is = (...names) => names.includes(KINDS[kind]), releases = bytes + classes + treatments > 0;

  const rules = {
    'magic or version': at(0, 5) === '434c563101',
    kind: kind >= 1 && kind < KINDS.length,
    direction: direction <= 2 && (!is('migration') || direction === 2),
    decision: decision === (is('refusal') ? 2 : 1),
    purpose: purpose >= 1 && purpose < PURPOSES.length,
    country: /^[A-Z]{4}$/.test(place + destination),
    'class or treatment': classes < 8 && treatments < 64,
    reason: reason < REASONS.length && (reason > 0) === is('refusal'),
    'number of tags': mode < 4 && (mode === 1 ? count >= 1 && count <= 4 : count === 0),
    padding: isZero(158, 160) && isZero(160 + [0, 16 * count, 32, 0][mode], 224) && isZero(249, 256),
    'number of people': mode === 2 ? subjects > 4 : subjects === count,
    'order of tags': ascend(tags),
    'release, though it is a refusal,': !is('refusal') || !releases,
    destination: !is('import') || destination === 'ZZ',
    'one person': !is('erasure', 'home') || (mode === 1 && count === 1 && !releases),
    'work inside': !is('inside') || (place === destination && mode + treatments === 0),
    'stage of a migration': !is('migration') || mode + classes + treatments === 0,
    open: is('extend', 'close') ? open < sequence : open === 0,
    lease: is('open', 'extend') ? lease <= time + 3600 : lease === 0,
    outcome: is('close') ? outcome >= 1 && outcome <= 3 : outcome === 0,
    facts: is('refusal') || is('answer', 'import', 'open', 'suspension', 'demand', 'inside', 'migration') === facts > 0,
  };
  const wrong = Object.keys(rules).find((field) => !rules[field]);
  need(!wrong, `the entry's ${wrong} is unknown, or contradicts the rest`);
  return {
    kind: KINDS[kind], direction: ['none', 'outward', 'inward'][direction], decision: decision === 2 ? 'refused' : 'released',
    gateway: at(8, 8), sequence, time: instant(time), unix: time, flow: at(32, 16), rulebook: orNull(48, 32),
    purpose: PURPOSES[purpose], place, destination, classes: set(classes, CLASSES), treatments: set(treatments, TREATMENTS),
    reason: REASONS[reason] || null, findings, subjects, bytes, rows: uint(leaf, 104, 4), detail: orNull(108, 32), actor: at(140, 16),
    mode: MODES[mode], tags, tagRoot: mode === 2 ? at(160, 32) : null, lane: orNull(224, 8), open: is('extend', 'close') ? open : null,
    lease: is('open', 'extend') ? instant(lease) : null, outcome: OUTCOMES[outcome] || null, facts,
  };
}

/** An entry that says itself that it stands at this place of this log. */
async function placed(leaf, gateway, index) {
  const entry = await decodeEntry(leaf);
  need(entry.sequence === index && entry.gateway === gateway, 'an entry says that it stands elsewhere, or in another log');
  return entry;
}

/** A receipt: the entry stands in the log of the key. `proof` is the text of a C2SP tlog-proof. */
export async function verifyEntry({ leaf, proof, vkey }) {
  const log = await logKey(vkey), cut = typeof proof === 'string' && proof.length <= 2 * NOTE_MAX ? proof.indexOf('\n\n') : -1;
  const [head, ...lines] = cut >= 0 ? proof.slice(0, cut).split('\n') : [];
  // Nothing authenticates the extra line, and nothing here reads it.
  const extra = lines[0]?.startsWith('extra ') ? fromBase64(lines.shift().slice(6)).length : 1;
  const [, place] = /^index (.+)$/.exec(lines.shift()) ?? [], path = lines.map(fromBase64);
  const isProof = head === 'c2sp.org/tlog-proof@v1' && extra > 0 && path.length <= 64 && path.every((hash) => hash.length === 32);
  need(isProof && isBytes(leaf, 1), 'this is no entry with a proof of the form c2sp.org/tlog-proof@v1');
  const index = decimal(place, 'the index of the proof');
  const { checkpoint: { origin, size, root } } = await open(parseNote(proof.slice(cut + 2)), log, []), hash = await leafHash(leaf);
  const reached = index < size && await climb(path, hash, index, size);
  need(reached && hex(reached) === root, 'the proof does not lead from this entry to the signed root');
  return { origin, index, size, root, leafHash: hex(hash), entry: await placed(leaf, await shortName(origin), index) };
}

// ---- A person's history (day-map.md)

/** A day-map entry that is in the site log (site-log.md, kind 3). */
async function dayMap(part, site, isFinal, what) {
  const [index, leaf, proof] = fit(part, 'nbh', what);
  need(await shows(proof, [[index, leaf]], site.size, site.root), `${what} is not proved to be in the site log`);
  const form = `434c565301030000${await shortName(site.origin)}${digits(index, 8)}`;
  need(hex(leaf.subarray(0, 24)) === form && leaf.length >= 32 && leaf.length <= 65032, `${what} is of another log, place or kind`);
  const body = cbor(leaf.subarray(32), what), keys = body instanceof Map ? [...body.keys()].join() : '';
  const values = fit(keys === '0,1,2,3,4,5,6,7' ? [...body.values()] : null, 'nornnlrn', what);
  const [day, final, rootBytes, tags, pairs, list, calendarRoot, calendarSize] = values, root = hex(rootBytes);
  const inputs = new Map(), names = [];
  let good = day < 2 ** 32 && final === isFinal;
  for (const input of list) {
    const [origin, from, to, at] = fit(input, 'tnnr', what), name = encoder.encode(origin);
    good &&= name.length >= 1 && name.length <= 500 && !/\p{Cc}/u.test(origin) && from <= to;
    names.push(hex(name));
    inputs.set(origin, { size: to, root: hex(at) });
  }
  need(good && ascend(names), `${what} is not of the form of docs/formats`);
  // The calendar's record of this day, if the map is final.
  const record = digits(day, 4) + root + digits(tags, 8) + digits(pairs, 8);
  return { day, root, size: tags + 2, record, inputs, calendarRoot: hex(calendarRoot), calendarSize };
}

/** The maps that the file shows to be in the site log: root and size of each day, and what the newest one read. */
async function readMaps([anchorPart, calendar, interimPart], site) {
  const anchor = anchorPart && await dayMap(anchorPart, site, true, 'the newest final day map');
  const interim = interimPart && await dayMap(interimPart, site, false, 'the interim day map');
  need((anchor || interim) && !anchor === !calendar, 'the history has no day map, or not its calendar');
  const records = calendar ? chunks(calendar, 52) : [], first = calendar ? uint(records[0] ?? [], 0, 4) : 0;
  const rootAt = async (size) => (size <= records.length ? hex(await rootOf(records.slice(0, size))) : '');
  if (anchor) {
    const isWhole = anchor.calendarSize === records.length && await rootAt(records.length) === anchor.calendarRoot;
    need(isWhole && hex(records.at(-1)) === anchor.record, 'the calendar is not the one of the newest final day map');
    need(records.every((record, i) => uint(record, 0, 4) === first + i), 'the calendar has a gap');
  }
  if (interim) {
    need(!anchor || interim.day > anchor.day, 'the interim day map is not of a later day');
    // It may stand before the newest final map in the log, and then counts fewer records.
    need(await rootAt(interim.calendarSize) === interim.calendarRoot, 'the interim day map has another calendar');
  }
  const final = (day) => records[day - first];
  const of = (day) => {
    const record = final(day);
    return interim?.day === day ? interim : record && { root: hex(record.subarray(4, 36)), size: uint(record, 36, 8) + 2 };
  };
  return { first, final, of, inputs: (interim ?? anchor).inputs };
}

/** The entries that carry the tag on a day, each as the digits of gateway and index. */
async function readDay(part, tag, map, isBefore, what) {
  if (part.length === 0) {
    need(isBefore, `${what} is left out`);
    return [];
  }
  need(map, `${what} is in no day map`);
  if (part.length === 3) {
    const [index, list, proof] = fit(part, 'nph', what), pairs = chunks(list, 16).map(hex);
    need(pairs.length > 0 && ascend(pairs), `the list of ${what} is empty, or not ascending`);
    const leaf = concat(tag, u32(pairs.length), await sha(list));
    need(await shows(proof, [[index, leaf]], map.size, map.root), `the list of ${what} is not the one of its day map`);
    return pairs;
  }
  const [index, low, high, proof] = fit(part, 'nmmh', what);
  need(ascend([low, tag, high].map((leaf) => hex(leaf.subarray(0, 16)))), `${what} is proved to be without somebody else's entries`);
  const isThere = await shows(proof, [[index, low], [index + 1, high]], map.size, map.root);
  need(isThere, `that ${what} is without entries is not proved`);
  return [];
}

/** A person's history: every entry of a period that names them, and that there is no other. */
export async function verifyHistory({ file, siteVkey, policy }) {
  need(isBytes(file, 1) && file.length <= FILE_MAX, 'the history is no file, or too long');
  const log = await logKey(siteVkey), rules = await parsePolicy(policy), what = 'the history', told = cbor(file, what);
  const isMap = told instanceof Map && [...told.keys()].every((key) => key <= 10);
  const parts = fit(isMap ? Array.from({ length: 11 }, (_, key) => told.get(key)) : null, 'ttrnntLCLll', what);
  const [format, logSet, tagKey, from, to, note] = parts, [dayParts, logParts] = parts.slice(9), count = to - from + 1;
  need(format === 'clover subject history v1', 'the history is of another format');
  const isWhole = count >= 1 && count <= DAYS_MAX && to < 2 ** 32 && dayParts.length === count;
  need(isWhole, 'the days of the history are not those of its period');
  const { checkpoint: site, signers, time } = await cosigned(parseNote(note), rules, log), maps = await readMaps(parts.slice(6, 9), site);

  const hmac = await subtle.importKey('raw', tagKey, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  // All at once: one after another would wait for each of a hundred thousand hashes.
  const days = await Promise.all(dayParts.map(async (part, i) => {
    const number = from + i, day = dayText(number), message = concat(encoder.encode(logSet), [0], u32(number));
    const tag = new Uint8Array(await subtle.sign('HMAC', hmac, message)).subarray(0, 16);
    const pairs = await readDay(fit(part, undefined, what), tag, maps.of(number), number < maps.first, `the day ${day}`);
    return { day, number, tag: hex(tag), pairs, final: maps.final(number) !== undefined, covered: part.length > 0 };
  }));
  const named = new Map();
  for (const day of days) {
    for (const pair of day.pairs) {
      need(!named.has(pair), `the day ${day.day} names an entry of another day`);
      named.set(pair, day);
    }
  }
  const wanted = [...named.keys()].sort(), entries = [];
  let next = 0;
  for (const part of logParts) {
    const [origin, leaves, proof] = fit(part, 'tlh', what), input = maps.inputs.get(origin);
    const gateway = await shortName(origin), here = [];
    while (wanted[next]?.startsWith(gateway)) here.push(wanted[next++]);
    need(here.length > 0 && leaves.length === here.length, `the entries of the log ${origin} are not those that the days name`);
    fit(leaves, 'b'.repeat(here.length), what);
    const proved = here.map((pair, i) => [parseInt(pair.slice(16), 16), leaves[i]]);
    const isThere = input && await shows(proof, proved, input.size, input.root);
    need(isThere, `the entries of the log ${origin} are not proved to be in what the day map read`);
    for (const [i, [index, leaf]] of proved.entries()) {
      const entry = await placed(leaf, gateway, index), { day, number, tag } = named.get(here[i]);
      need(Math.floor(entry.unix / DAY) === number, `entry ${index} of ${origin} is of another day than the map that names it`);
      // Whether a tag list holds the tag, the header does not show: the map does.
      need(entry.mode === 'list' || entry.tags.includes(tag), `entry ${index} of ${origin} does not name this person`);
      entries.push({ origin, index, day, ...entry });
    }
  }
  need(next === wanted.length, 'entries that the days name are left out');
  entries.sort((one, other) => one.unix - other.unix);
  return {
    ...site, signers, cosigned: time, from: dayText(from), to: dayText(to),
    days: days.map(({ day, final, pairs, covered }) => ({ day, final, entries: pairs.length, covered })), entries,
  };
}
