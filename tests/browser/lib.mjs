// What the browser tests of the console share: a browser that reaches this machine alone, a person in it with everything that
// goes wrong for them, signing in, accessibility, screenshots and the cost of a first page. Never shipped.
//
// Modules stand in the folder that CLOVER_BROWSER_MODULES names (`npm ci` beside a copy of the lock file), not beside this file.

import { createHmac } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const OWN_HOSTS = new Set(['localhost', '127.0.0.1']);
/** Longest wait for anything on a page. */
const PATIENCE = 15_000;
/** An authenticator's step. */
const STEP = 30_000;
const DESK = { width: 1280, height: 900 };
const PHONE = { width: 390, height: 844 };

/** A module of CLOVER_BROWSER_MODULES; asked late, so that what needs none can be tested without. */
function load(name) {
  const folder = process.env.CLOVER_BROWSER_MODULES;
  if (!folder) throw new Error('CLOVER_BROWSER_MODULES names no folder with node_modules');
  return createRequire(path.resolve(folder) + '/')(name);
}

// ---- Networks and authenticators

/**
 * Starts a forwarder on loopback that asks `target` (`host:port`) from `localAddress`: the console then sees a browser that
 * comes from that address's network.
 */
export async function forward(target, localAddress) {
  const { hostname: host, port } = new URL(`tcp://${target}`);
  const sockets = new Set();
  const hold = (socket, other) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    // Whatever breaks one side breaks the other; a regular end is passed on by `pipe`.
    socket.on('error', () => other.destroy());
    socket.pipe(other);
  };
  // Half-open, so that an answer still passes after the asking side has ended.
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    const far = net.connect({ host, port: Number(port), localAddress, allowHalfOpen: true, noDelay: true });
    hold(near, far);
    hold(far, near);
  });
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const close = () =>
    new Promise((resolve) => {
      server.close(() => resolve());
      for (const socket of sockets) socket.destroy();
    });
  return { port: server.address().port, close };
}

function fromBase32(text) {
  const bytes = [];
  let [held, bits] = [0, 0];
  for (const letter of text.toUpperCase().replace(/[\s=]/g, '')) {
    const value = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter);
    if (value < 0) throw new Error('the secret is not in base 32');
    held = ((held << 5) | value) & 0xfff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes.push((held >> bits) & 0xff);
    }
  }
  return Buffer.from(bytes);
}

/** What an authenticator shows at a time in milliseconds: RFC 6238, six digits, 30 seconds, SHA-1. */
export function totp(base32, at = Date.now()) {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(at / STEP)));
  const mac = createHmac('sha1', fromBase32(base32)).update(counter).digest();
  const number = mac.readUInt32BE(mac[mac.length - 1] & 0xf) & 0x7fffffff;
  return String(number % 1_000_000).padStart(6, '0');
}

// ---- A browser, and people in it

/** Starts a browser that finds no host but this machine. */
export function open({ executablePath = '/usr/bin/chromium' } = {}) {
  return load('playwright-core').chromium.launch({
    executablePath,
    // Chromium refuses to sandbox what root runs, as in most containers.
    chromiumSandbox: process.getuid() !== 0,
    args: [
      // /dev/shm is small in containers, and there is no graphics card.
      '--disable-dev-shm-usage',
      '--disable-gpu',
      '--lang=en',
      '--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost, EXCLUDE 127.0.0.1',
    ],
  });
}

/** What `person` knows of each context. */
const contexts = new WeakMap();
const about = (page) => contexts.get(page.context());

/**
 * A person with a browser of their own at `https://localhost:port`: `{ context, page, problems }`. `problems` gets a line for
 * every error on the console (blocked by the Content-Security-Policy, a failed or refused request, a script's own), every
 * error that no script caught, every crash, and every request to another host.
 */
export async function person(browser, port, options = {}) {
  const { locale = 'en', colorScheme = 'light', width = DESK.width, height = DESK.height, javaScript = true } = options;
  const origin = `https://localhost:${port}`;
  const context = await browser.newContext({
    baseURL: origin,
    // The enclave signs its own certificates.
    ignoreHTTPSErrors: true,
    locale,
    colorScheme,
    reducedMotion: 'reduce',
    deviceScaleFactor: 1,
    viewport: { width, height },
    javaScriptEnabled: javaScript,
  });
  context.setDefaultTimeout(PATIENCE);
  const problems = [];
  contexts.set(context, { origin, problems, javaScript });
  const reach = (address) => {
    const { hostname } = new URL(address);
    // Addresses without a host (`data:`, `blob:`) go nowhere; the policy speaks for them.
    if (hostname && !OWN_HOSTS.has(hostname)) problems.push(`request to another host: ${address}`);
  };
  context.on('console', (message) => {
    const { url, lineNumber } = message.location();
    if (message.type() === 'error') problems.push(`console: ${message.text()} (${url}:${lineNumber + 1})`);
  });
  context.on('weberror', (error) => problems.push(`uncaught: ${error.error()?.stack ?? error.error()}`));
  context.on('request', (request) => reach(request.url()));
  context.on('page', (page) => {
    page.on('websocket', (socket) => reach(socket.url()));
    page.on('crash', () => problems.push(`the page crashed: ${page.url()}`));
  });
  return { context, page: await context.newPage(), problems };
}

// ---- Signing in

/** Steps that were spent, by secret: the console takes none twice, and shuts an account after a few wrong codes. */
const spent = new Map();

/** A code that this process did not spend yet; waits for it if it must. The console takes the next step's, too. */
async function unspent(secret, notBefore = 0) {
  const step = Math.max(Math.floor(Date.now() / STEP), (spent.get(secret) ?? -1) + 1, notBefore);
  await sleep(Math.max(0, (step - 1) * STEP - Date.now() + 500));
  spent.set(secret, step);
  return totp(secret, step * STEP);
}

/** Fills a form, known by its action and the names of its fields, sends it with Enter and returns the answer to it. */
export async function submit(page, action, fields) {
  const form = page.locator(`form[action="${action}"]`);
  let last;
  for (const [name, value] of Object.entries(fields)) {
    const field = form.locator(`[name="${name}"]`);
    // A page may carry along by itself what an earlier one asked.
    if ((await field.getAttribute('type')) === 'hidden') continue;
    await field.fill(value);
    last = field;
  }
  const isAnswer = (r) => r.request().method() === 'POST' && new URL(r.url()).pathname === action;
  const [answer] = await Promise.all([page.waitForResponse(isAnswer), last.press('Enter')]);
  return answer;
}

/** Takes an answer that lets somebody in, and waits until the page is where it led. */
async function comeIn(page, answer) {
  const { pathname } = new URL(answer.url());
  if (answer.status() >= 400) throw await refusal(answer);
  await page.waitForURL((url) => url.pathname !== pathname);
}

async function refusal(answer) {
  const text = await answer.text().catch(() => '');
  return new Error(`${answer.url()} answered ${answer.status()}: ${text.slice(0, 500)}`);
}

/** Signs in with a local account; once more, up to half a minute later, if another process had spent the code. */
export async function signIn(page, { actor, passphrase, secret }) {
  const attempt = async (code) => {
    await page.goto('/signin/local');
    return submit(page, '/signin/local', { actor, passphrase, code });
  };
  const { problems } = about(page);
  const before = problems.length;
  let answer = await attempt(await unspent(secret));
  if (answer.status() === 403) {
    // Nobody can have spent the code of the step after the next one.
    answer = await attempt(await unspent(secret, Math.floor(Date.now() / STEP) + 2));
    // The first refusal is no fault of the page; whatever else it showed is.
    const kept = problems.splice(before).filter((line) => answer.status() >= 400 || !line.includes('status of 403'));
    problems.push(...kept);
  }
  await comeIn(page, answer);
}

/** Takes a local account with an operator's one-time code, which signs its owner in; returns the authenticator's secret. */
export async function enrol(page, { actor, code, passphrase }) {
  await page.goto('/signin/local/enrol');
  const begun = await submit(page, '/signin/local/enrol', { actor, enrolment: code, passphrase });
  if (!begun.ok()) throw await refusal(begun);
  await page.locator('form[action="/signin/local/confirm"]').waitFor();
  const texts = (await page.locator('code').allTextContents()).map((text) => text.replace(/\s/g, ''));
  const secret = texts.find((text) => /^[A-Z2-7]{16,}$/.test(text));
  if (!secret) throw new Error('no <code> of the page holds a secret');
  const first = { enrolment: code, code: await unspent(secret) };
  await comeIn(page, await submit(page, '/signin/local/confirm', first));
  return secret;
}

// ---- Accessibility

const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

/** What axe-core finds wrong with the page, a line for each rule: its name, impact, elements, and what would mend them. */
export async function axe(page) {
  // It waits for timers, which do not run then.
  if (!about(page).javaScript) throw new Error('axe-core needs a page with scripts');
  // Evaluated by the debugger: a script element would be blocked by the page's policy, which stays in force.
  await page.evaluate(load('axe-core').source);
  const violations = await page.evaluate(async (values) => {
    const options = { runOnly: { type: 'tag', values }, resultTypes: ['violations'] };
    return (await globalThis.axe.run(document, options)).violations;
  }, TAGS);
  return violations.map(({ id, impact, help, nodes }) => {
    const places = nodes.map((node) => node.target.flat().join(' '));
    const summaries = new Set(nodes.map((node) => node.failureSummary.replace(/\s+/g, ' ').trim()));
    return `${id} (${impact}): ${help}: ${places.join(' | ')}: ${[...summaries].join(' | ')}`;
  });
}

/** Presses Tab until the element with focus matches a CSS selector or is a locator's; returns how often. */
export async function tabTo(page, target, max = 50) {
  const isThere = () =>
    typeof target === 'string'
      ? page.evaluate((selector) => document.activeElement?.matches(selector) ?? false, target)
      : target.evaluate((element) => element === document.activeElement);
  const passed = [];
  for (let presses = 1; presses <= max; presses++) {
    await page.keyboard.press('Tab');
    if (await isThere()) return presses;
    passed.push(await page.evaluate(() => document.activeElement?.cloneNode(false).outerHTML.slice(0, 100)));
  }
  throw new Error(`${max} presses of Tab do not lead to ${target}, but to:\n${passed.join('\n')}`);
}

/** Whether the element with focus shows it: an outline that is seen, or a shadow that it lacks without focus. */
export function focusVisible(page) {
  return page.evaluate(() => {
    const element = document.activeElement;
    if (!element || element === document.body) return false;
    // Taken before the focus changes, as the style does with it.
    const { outlineStyle, outlineWidth, outlineColor, boxShadow } = getComputedStyle(element);
    const isClear = /^(transparent|rgba\(.*, 0\))$/.test(outlineColor);
    if (outlineStyle !== 'none' && parseFloat(outlineWidth) > 0 && !isClear) return true;
    if (boxShadow === 'none') return false;
    element.blur();
    const unfocused = getComputedStyle(element).boxShadow;
    element.focus({ preventScroll: true });
    return boxShadow !== unfocused;
  });
}

// ---- Pictures and measures

/** Largest picture: they are committed. */
const PICTURE_BYTES = 200_000;
/** Heights that are tried until a picture is small enough; the page's own, if that is less. */
const HEIGHTS = [1600, 1200, DESK.height, 600, 400];

async function picture(page) {
  const { width } = page.viewportSize();
  const devtools = await page.context().newCDPSession(page);
  const whole = await page.evaluate(() => Math.max(document.documentElement.scrollHeight, innerHeight));
  for (const height of HEIGHTS) {
    const clip = { x: 0, y: 0, width, height: Math.min(whole, height), scale: 1 };
    // WebP, which Playwright does not offer: a third of a PNG's bytes.
    const asked = { format: 'webp', quality: 82, captureBeyondViewport: true, clip };
    const image = Buffer.from((await devtools.send('Page.captureScreenshot', asked)).data, 'base64');
    if (image.length < PICTURE_BYTES) return image;
  }
  throw new Error(`no picture of ${page.url()} has less than ${PICTURE_BYTES} bytes`);
}

/** Takes `NAME-light.webp`, `NAME-dark.webp` and `NAME-phone.webp` of the page as it is, and leaves it as it was. */
export async function shoot(page, folder, name) {
  const viewport = page.viewportSize();
  const wasDark = await page.evaluate(() => matchMedia('(prefers-color-scheme: dark)').matches);
  await mkdir(folder, { recursive: true });
  for (const [kind, colorScheme, size] of [['light', 'light', DESK], ['dark', 'dark', DESK], ['phone', 'light', PHONE]]) {
    await page.setViewportSize(size);
    await page.emulateMedia({ colorScheme });
    await writeFile(path.join(folder, `${name}-${kind}.webp`), await picture(page));
  }
  await page.setViewportSize(viewport);
  await page.emulateMedia({ colorScheme: wasDark ? 'dark' : 'light' });
}

/**
 * Loads a path as on a first visit by the page's person: with their session, without anything cached, over a new connection.
 * Returns the bytes of all bodies as they were sent, the milliseconds from the start to the `load` event, and the number of
 * requests, redirects included.
 */
export async function first(page, where) {
  const { origin } = about(page);
  const context = await page.context().browser().newContext({ ignoreHTTPSErrors: true, baseURL: origin });
  try {
    const cookies = await page.context().cookies(origin);
    // By address, not by domain: the `__Host-` prefix forbids a domain.
    await context.addCookies(cookies.map(({ domain, path, ...cookie }) => ({ ...cookie, url: origin })));
    const fresh = await context.newPage();
    const bodies = [];
    // Only what has ended: a stream of events never does.
    context.on('requestfinished', (request) => bodies.push(request.sizes().then((sizes) => sizes.responseBodySize)));
    await fresh.goto(where);
    // For what scripts ask after the load; a page that never comes to rest is measured as far as it got.
    await fresh.waitForLoadState('networkidle', { timeout: 2000 }).catch(() => {});
    const ms = await fresh.evaluate(() => performance.getEntriesByType('navigation')[0].loadEventStart);
    const sizes = await Promise.all(bodies);
    return { bytes: sizes.reduce((sum, size) => sum + size, 0), ms: Math.round(ms), requests: sizes.length };
  } finally {
    await context.close();
  }
}
