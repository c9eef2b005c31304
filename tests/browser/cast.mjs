// What the scripts of the console share: people who are signed in already, and claims that say where they broke.

import * as lib from './lib.mjs';

/** What a test told: who there is, and what they need. */
export const told = JSON.parse(process.argv[2]);

export function must(holds, words) {
  if (!holds) throw new Error(words);
  console.log(`ok ${words}`);
}

/** Somebody with a browser of their own and the session that a test opened for them. */
export async function enter(browser, somebody, options) {
  const someone = await lib.person(browser, somebody.port, options);
  // By address, not by domain: the `__Host-` prefix forbids a domain.
  const url = `https://localhost:${somebody.port}`;
  const cookie = { name: '__Host-clover-session', value: somebody.session, url, secure: true, httpOnly: true, sameSite: 'Lax' };
  await someone.context.addCookies([cookie]);
  return someone;
}

/** Runs a story in a browser that is closed whatever comes of it. */
export async function play(story) {
  const browser = await lib.open();
  try {
    await story(browser);
  } finally {
    await browser.close();
  }
}
