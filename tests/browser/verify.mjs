// The page's own checks of ledger proofs, on the command line: for tests, and to hold them against the other checkers.
//
// node verify.mjs history FILE --site-vkey FILE --policy FILE
// node verify.mjs entry --leaf FILE --proof FILE --vkey FILE
//
// Prints one line of JSON. Exit codes as those of clover-audit: 0 it holds, 1 `finding: ..`, 64 usage, 66 nothing to read.

import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { ProofError, verifyEntry, verifyHistory } from '../../crates/console/src/pages/static/verify.js';

const USAGE = 'verify.mjs history FILE --site-vkey FILE --policy FILE | verify.mjs entry --leaf FILE --proof FILE --vkey FILE';
const NEEDED = { history: ['site-vkey', 'policy'], entry: ['leaf', 'proof', 'vkey'] };

function fail(code, text) {
  console.error(text);
  process.exit(code);
}

/** Command, file and options; anything else ends here. */
function asked() {
  try {
    const names = Object.values(NEEDED).flat();
    const options = Object.fromEntries(names.map((name) => [name, { type: 'string' }]));
    const { values, positionals: [command, ...files] } = parseArgs({ options, allowPositionals: true });
    const given = Object.keys(values).sort().join();
    if (given === NEEDED[command]?.toSorted().join() && files.length === (command === 'history' ? 1 : 0)) {
      return { command, file: files[0], values };
    }
  } catch { /* said below */ }
  return fail(64, `usage: ${USAGE}`);
}

function read(path) {
  try {
    return new Uint8Array(readFileSync(path));
  } catch (error) {
    return fail(66, `cannot read \`${path}\`: ${error.code}`);
  }
}

function text(path) {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(read(path));
  } catch {
    throw new ProofError(`\`${path}\` is not UTF-8`);
  }
}

const { command, file, values } = asked();
try {
  const told = command === 'history'
    ? await verifyHistory({ file: read(file), siteVkey: text(values['site-vkey']), policy: text(values.policy) })
    : await verifyEntry({ leaf: read(values.leaf), proof: text(values.proof), vkey: text(values.vkey) });
  console.log(JSON.stringify(told));
} catch (error) {
  // Anything else is a fault of the checker: it ends with its trace, and another exit code.
  if (!(error instanceof ProofError)) throw error;
  console.log(`finding: ${error.message}`);
  process.exitCode = 1;
}
