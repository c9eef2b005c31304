// Every page: without a violation that axe-core finds, in light and dark, on a phone, in both languages, by keyboard, without a
// request to another host or an error, and light in bytes. With `shots`, a folder, their pictures are kept.

import * as lib from './lib.mjs';
import { enter, must, play, told } from './cast.mjs';

/** Bytes of a first page in all. */
const BYTES_MAX = 100_000;

/** Looks at a page; `ready` must be there, and for a picture it waits for `better`, which takes long. */
async function visit(someone, path, name, ready, better) {
  await someone.page.goto(path);
  if (ready) await someone.page.locator(ready).first().waitFor({ timeout: 60_000 });
  if (told.shots && better) await someone.page.locator(better).first().waitFor({ timeout: 45_000 }).catch(() => {});
  const heads = await someone.page.locator('h1').count();
  must(heads === 1, `${name} has one heading`);
  for (const colorScheme of ['light', 'dark']) {
    await someone.page.emulateMedia({ colorScheme });
    const found = await lib.axe(someone.page);
    must(found.length === 0, `${name} in ${colorScheme} has no violation ${found.join('; ')}`);
  }
  await someone.page.setViewportSize({ width: 360, height: 740 });
  const wide = await someone.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  must(wide <= 0, `${name} fits a phone ${wide}`);
  await someone.page.setViewportSize({ width: 1280, height: 900 });
  await someone.page.emulateMedia({ colorScheme: 'light' });
  if (told.shots) await lib.shoot(someone.page, told.shots, name);
}

/** Signs in with keys alone, from the first page on. */
async function byKeyboard(browser) {
  const someone = await lib.person(browser, told.ana.port);
  const { page } = someone;
  await page.goto('/');
  await page.keyboard.press('Tab');
  must(await page.evaluate(() => document.activeElement.classList.contains('skip')), 'the first stop is the way to the content');
  await page.keyboard.press('Enter');
  await lib.tabTo(page, 'a[href="/signin"]');
  must(await lib.focusVisible(page), 'a link shows its focus');
  await page.keyboard.press('Enter');
  await page.waitForURL('**/signin/local');
  await lib.tabTo(page, 'input[name="actor"]');
  await page.keyboard.type(told.ana.name);
  await page.keyboard.press('Tab');
  await page.keyboard.type(told.passphrase);
  await page.keyboard.press('Tab');
  await page.keyboard.type(lib.totp(told.ana.secret));
  await page.keyboard.press('Enter');
  await page.waitForURL('**/requests');
  await lib.tabTo(page, 'a[href="/requests/new"]');
  await page.keyboard.press('Enter');
  await page.waitForURL('**/requests/new');
  await lib.tabTo(page, 'input[name="case"]');
  await page.keyboard.type('T-1');
  await lib.tabTo(page, 'input[name="subject"]');
  await page.keyboard.type('somebody');
  await page.locator('#outcome .yes').waitFor();
  await lib.tabTo(page, 'form.ask div.row button');
  await page.keyboard.press('Enter');
  await page.locator('.badge.waiting').waitFor();
  must(true, 'somebody signs in and asks for access with keys alone');
  await someone.context.close();
}

await play(async (browser) => {
  const nobody = await lib.person(browser, told.oona.port);
  await visit(nobody, '/', 'home');
  await visit(nobody, '/signin/local', 'sign-in');
  await visit(nobody, '/signin/person', 'sign-in-person');
  await visit(nobody, '/signin/local/enrol', 'enrol');
  await visit(nobody, '/public', 'public');
  must(nobody.problems.length === 0, `pages for everybody fetch all they need here ${nobody.problems.join('; ')}`);
  await visit(nobody, '/requests', 'sign-in-first');
  await visit(nobody, '/nothing', 'not-found');
  await byKeyboard(browser);

  const oona = await enter(browser, told.oona);
  await visit(oona, '/overview', 'overview', '#crossings tbody tr');
  await visit(oona, '/ledger', 'ledger', 'tbody tr');
  await visit(oona, `/ledger/${told.gateway}/3`, 'entry', '#check-result .good');
  await visit(oona, '/rulebook', 'rulebook', '#properties', '#properties ~ .scroll');
  await visit(oona, '/rulebook/candidate', 'candidate', '#diff', '#diff ~ .cards');
  must(oona.problems.length === 0, `nothing went wrong ${oona.problems.join('; ')}`);
  const aoife = await enter(browser, told.aoife);
  await visit(aoife, '/requests', 'requests', 'li.decide');
  await visit(aoife, '/requests/C-1', 'request');
  await visit(aoife, '/requests/new', 'ask');
  await visit(aoife, '/my-data', 'not-yours');
  const mei = await enter(browser, told.mei);
  await visit(mei, '/requests/C-1/view', 'case-view', '#view-rows tr');
  const me = await enter(browser, told.person);
  await visit(me, '/my-data', 'my-data', '#mine-result .result');

  // The auditor's own, of another program.
  const auditor = await lib.person(browser, told.oona.port);
  for (const [path, name] of [['/', 'auditor'], ['/findings', 'auditor-findings'], ['/incidents', 'auditor-incidents'], ['/samples', 'auditor-samples'], ['/compare', 'auditor-compare'], ['/watch', 'auditor-watch'], ['/report', 'auditor-report']]) {
    await visit(auditor, told.auditor + path, name);
  }
  must(auditor.problems.length === 0, `the auditor's pages fetch all they need there ${auditor.problems.join('; ')}`);

  // The live list: a crossing is there when it has happened.
  const watch = await oona.context.newPage();
  await watch.goto('/overview');
  await watch.locator('#state .border').waitFor();
  await watch.waitForTimeout(600);
  await mei.page.goto('/requests/C-1/view');
  await watch.locator('#crossings tr.new').first().waitFor();
  await watch.close();
  must(true, 'a crossing is shown as it happens');

  const french = await enter(browser, told.oona, { locale: 'fr' });
  for (const path of ['/overview', '/requests', '/ledger', '/public']) {
    await french.page.goto(path);
    must((await french.page.locator('html').getAttribute('lang')) === 'fr', `${path} speaks French`);
    must((await lib.axe(french.page)).length === 0, `${path} in French has no violation`);
  }
  for (const [someone, path] of [[nobody, '/public'], [oona, '/overview'], [oona, '/ledger'], [me, '/my-data'], [aoife, '/requests']]) {
    const { bytes, ms, requests } = await lib.first(someone.page, path);
    console.log(`first load of ${path}: ${bytes} bytes in ${requests} requests, ${Math.round(ms)} ms`);
    must(bytes < BYTES_MAX, `${path} is light`);
  }
});
