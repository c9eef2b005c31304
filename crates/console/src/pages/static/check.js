// What a reader's own browser checks: one entry with its receipt, and a person's whole history. The checks themselves are
// in verify.js, which knows nothing of pages.

import { ProofError, verifyEntry, verifyHistory } from './verify.js';

async function bytes(path) {
  const answer = await fetch(path, { credentials: 'same-origin', cache: 'no-store' });
  if (!answer.ok) throw Object.assign(new Error(String(answer.status)), { status: answer.status });
  return new Uint8Array(await answer.arrayBuffer());
}
const text = async (path) => new TextDecoder().decode(await bytes(path));

function say(place, kind, words, facts = []) {
  const box = document.createElement('div');
  box.className = `result ${kind}`;
  const line = document.createElement('p');
  line.textContent = words;
  box.append(line);
  const list = document.createElement('dl');
  for (const [name, value] of facts) {
    const [dt, dd] = [document.createElement('dt'), document.createElement('dd')];
    dt.textContent = name;
    const code = document.createElement('code');
    code.textContent = value;
    dd.append(code);
    list.append(dt, dd);
  }
  if (facts.length) box.append(list);
  place.replaceChildren(box);
}

const entry = document.getElementById('check');
if (entry) {
  const result = document.getElementById('check-result');
  const { leaf, proof } = entry.dataset, { good, bad, busy } = result.dataset;
  const run = async () => {
    say(result, 'wait', busy);
    try {
      const vkey = document.getElementById('vkey').value.trim();
      const found = await verifyEntry({ leaf: await bytes(leaf), proof: await text(proof), vkey });
      const asked = Number(leaf.split('/').at(-2));
      if (found.index !== asked) throw new ProofError(`this is entry ${found.index}, and ${asked} was asked for`);
      if (!same(entry, found.entry)) throw new ProofError('the page says something else than the entry');
      say(result, 'good', good, [['log', found.origin], ['entry', `${found.index} / ${found.size}`], ['leaf', found.leafHash], ['root', found.root]]);
    } catch (error) {
      say(result, 'bad', `${bad} ${error.message}`);
    }
  };
  document.getElementById('check-run').addEventListener('click', run);
  run();
}

/** What the page says of an entry must be what the entry says. */
function same(item, entry) {
  const { time, kind, purpose, from, to, classes, treatments, reason } = item.dataset;
  const list = (words) => words.map((word) => (word === 'differentially private' ? 'dp' : word)).join(' ');
  return time === entry.time && kind === entry.kind && purpose === entry.purpose && from === entry.place && to === entry.destination
    && classes === list(entry.classes) && treatments === list(entry.treatments) && reason === (entry.reason ?? 'none');
}

/** Holds the list of the page against what is proved: each is there, says the same, and none is left out. */
function compare(items, whole, found) {
  const proved = new Map(found.entries.map((entry) => [String(entry.index), entry]));
  const closed = new Set(found.days.filter((day) => day.final).map((day) => day.day));
  for (const item of items) {
    const entry = proved.get(item.dataset.entry);
    if (!entry) {
      if (closed.has(item.dataset.time.slice(0, 10))) throw new ProofError(`entry ${item.dataset.entry} is in no map of its day`);
      continue;
    }
    if (!same(item, entry)) throw new ProofError(`the page says something else than entry ${item.dataset.entry}`);
    item.querySelector('.checked').textContent = '✓';
  }
  const listed = new Set(items.map((item) => item.dataset.entry));
  // Of a list that is cut off, all that is newer than its oldest must be there.
  const oldest = whole ? '' : items.reduce((least, item) => (item.dataset.time < least ? item.dataset.time : least), '9999');
  const missing = found.entries.find((entry) => entry.time > oldest && !listed.has(String(entry.index)));
  if (missing) throw new ProofError(`entry ${missing.index} names you, and the page leaves it out`);
}

function days(place, found, words) {
  const list = document.createElement('ul');
  list.className = 'days';
  for (const day of found.days.slice(-60).reverse()) {
    const item = document.createElement('li');
    item.className = day.entries ? 'some' : '';
    item.textContent = `${day.day}: ${day.entries ? `${day.entries} ${words.daySome}` : words.dayNone}${day.final ? '' : ` (${words.dayOpen})`}`;
    list.append(item);
  }
  place.replaceChildren(list);
}

const mine = document.getElementById('mine');
if (mine) {
  const [result, list, periods] = ['mine-result', 'mine-list', 'mine-days'].map((id) => document.getElementById(id));
  const words = mine.dataset;
  const run = async () => {
    // The history first, and whole: what the list names besides is newer than it.
    const proof = await bytes(words.history).catch((error) => error);
    try {
      list.innerHTML = await text(words.list);
    } catch {
      list.replaceChildren();
      say(result, 'bad', words.broken);
      return;
    }
    if (proof instanceof Error) { say(result, 'wait', proof.status === 503 ? words.none : words.broken); return; }
    say(result, 'wait', words.busy);
    try {
      const { site_vkey: siteVkey, policy } = JSON.parse(await text(words.trust));
      const found = await verifyHistory({ file: proof, siteVkey, policy });
      const story = list.querySelector('.story');
      const whole = !story || story.dataset.whole === 'true';
      compare(story ? [...story.children] : [], whole, found);
      days(periods, found, words);
      say(result, 'good', whole ? words.good : words.part, [['log', found.origin], ['period', `${found.from} – ${found.to}`], ['signed', found.signers.join(', ')], ['root', found.root]]);
      mine.dataset.state = 'good';
    } catch (error) {
      // A list that does not hold is not shown.
      list.replaceChildren();
      periods.replaceChildren();
      say(result, 'bad', `${words.bad} ${error.message}`);
      mine.dataset.state = 'bad';
    }
  };
  run();
}
