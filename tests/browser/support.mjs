// The support case, by two people in two browsers: asked for, approved with one key, looked at, ended by the other, and ended
// by its time. Nothing of it is left for whoever comes back.

import * as lib from './lib.mjs';
import { enter, must, play, told } from './cast.mjs';

/** Fills the form of a new request, as somebody types. */
async function ask(page, hours) {
  await page.goto('/requests/new');
  await page.getByLabel('Case or ticket').fill('T-4713');
  await page.getByLabel('Person').fill(told.subject);
  await page.getByLabel('Hours').fill(hours);
  await page.locator('#outcome .yes').waitFor();
  await page.getByRole('button', { name: 'Ask', exact: true }).click();
  await page.locator('.badge.waiting').waitFor();
  return new URL(page.url()).pathname;
}

/** Approves the one request that waits, with a key alone. */
async function approve(page) {
  await page.goto('/requests');
  await page.locator('li.decide').waitFor();
  await lib.tabTo(page, 'li.decide');
  must(await lib.focusVisible(page), 'what has the focus shows it');
  await page.keyboard.press('a');
  await page.locator('.badge.granted').first().waitFor();
}

async function look(page, at) {
  await page.goto(at);
  await page.getByRole('link', { name: 'Open the view' }).click();
  await page.locator('#view-rows tr').first().waitFor();
}

/** Milliseconds until the rows are gone, seen from inside the page. */
const gone = (page) => page.evaluate(async () => {
  const start = performance.now();
  while (document.querySelector('#view-rows tr')) await new Promise((go) => setTimeout(go, 10));
  return Math.round(performance.now() - start);
});

await play(async (browser) => {
  const [mei, aoife] = [await enter(browser, told.mei), await enter(browser, told.aoife)];
  const started = Date.now();
  // What cannot be had is said before it is asked for.
  await mei.page.goto('/requests/new');
  await mei.page.getByLabel('Case or ticket').fill('T-4713');
  await mei.page.getByLabel('Hours').fill('9');
  await mei.page.locator('#outcome .no').waitFor();
  must(true, 'the form says at once what is against a request');

  const at = await ask(mei.page, '2');
  await approve(aoife.page);
  await look(mei.page, at);
  must((await mei.page.locator('#view').innerText()).includes('held'), 'the view shows the status');
  must(await mei.page.locator('.watermark text').first().innerHTML() === `${told.mei.name} · T-4713`, 'the view is marked');
  console.log(`support case: ${Date.now() - started} ms from the first form to the view`);

  const watching = gone(mei.page);
  await aoife.page.goto(at);
  await aoife.page.getByLabel('Reason').fill('solved');
  const clicked = Date.now();
  await aoife.page.getByRole('button', { name: 'End it now' }).click();
  await watching;
  console.log(`content was gone ${Date.now() - clicked} ms after the click that ended the case`);
  must(Date.now() - clicked < 5000, 'the content goes when the case is ended');
  must((await mei.page.locator('#view').innerText()).includes('This view is over'), 'and the page says why');

  // By its time: some seconds, in front of the eyes.
  const short = await ask(mei.page, '0.003');
  await approve(aoife.page);
  await look(mei.page, short);
  await gone(mei.page);
  must((await mei.page.locator('#view').innerText()).includes('This view is over'), 'the content goes when its time is over');

  // A third, for what stays behind.
  const third = await ask(mei.page, '2');
  await approve(aoife.page);
  await look(mei.page, third);
  const tab = await mei.context.newPage();
  await tab.goto('/requests');
  await tab.getByRole('button', { name: 'Sign out' }).click();
  await tab.getByText('You are signed out').waitFor();
  await gone(mei.page);
  must(true, 'signing out in another tab takes the content away');
  await mei.page.goBack();
  await mei.page.goForward().catch(() => {});
  await mei.page.waitForTimeout(300);
  const left = await mei.page.content();
  must(!left.includes('held') && !left.includes('review_state'), 'the back button brings nothing back');
  const expected = /40[13]|410|ERR_ABORTED/;
  const problems = [...mei.problems, ...aoife.problems].filter((line) => !expected.test(line));
  must(problems.length === 0, `nothing else went wrong ${problems.join('; ')}`);
});
