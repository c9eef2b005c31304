// My data: a person's browser checks the list against the cosigned maps; a list, a file or a proof that was tampered with on
// its way is refused, and not shown.

import { enter, must, play, told } from './cast.mjs';

const state = (page) => page.locator('#mine[data-state]').getAttribute('data-state', { timeout: 20_000 });

/** Loads the page with one of its answers changed. */
async function forged(browser, path, change) {
  const me = await enter(browser, told.person);
  await me.page.route(`**${path}`, async (route) => {
    const answer = await route.fetch();
    const body = change(Buffer.from(await answer.body()));
    await route.fulfill({ response: answer, body });
  });
  await me.page.goto('/my-data');
  const found = [await state(me.page), await me.page.locator('#mine-list li').count()];
  await me.context.close();
  return found;
}

const edited = (change) => (body) => Buffer.from(change(body.toString()));

await play(async (browser) => {
  const me = await enter(browser, told.person);
  await me.page.goto('/my-data');
  must((await state(me.page)) === 'good', 'an honest list is found good by the browser');
  const items = me.page.locator('#mine-list li.crossing, #mine-list li.refused');
  must((await items.count()) >= 5, 'the crossings of the story are there');
  const checked = await me.page.locator('#mine-list .checked', { hasText: '✓' }).count();
  must(checked >= 5, 'each that the map covers is marked');
  must(me.problems.length === 0, `no page asks elsewhere and nothing fails ${me.problems.join('; ')}`);

  const refused = ([found, shown]) => found === 'bad' && shown === 0;
  const purpose = edited((text) => text.replace('data-purpose="support"', 'data-purpose="safety"'));
  must(refused(await forged(browser, '/my-data/crossings', purpose)), 'a purpose that was changed is refused');
  const left = edited((text) => text.replace(/<li class="(crossing|refused)"(?:(?!<\/li>)[^])*data-purpose="support"[^]*?<\/li>(?=<li class="(?:crossing|refused)"|<\/ul>)/, ''));
  must(refused(await forged(browser, '/my-data/crossings', left)), 'a crossing that is left out is refused');
  for (const where of [0.2, 0.5, 0.8]) {
    const flipped = (body) => { body[Math.floor(body.length * where)] ^= 1; return body; };
    must(refused(await forged(browser, '/my-data/history', flipped)), `a history with a bit changed at ${where} is refused`);
  }
  const key = edited((text) => text.replace(/(site_vkey":"[^+]+\+)[0-9a-f]{8}/, '$100000000'));
  must(refused(await forged(browser, '/my-data/trust', key)), 'another key is refused');

  // Another person's history in place of one's own.
  const other = await enter(browser, told.other);
  const theirs = await other.context.request.get('/my-data/history');
  const swapped = await theirs.body();
  must(refused(await forged(browser, '/my-data/history', () => swapped)), 'somebody else’s history is refused');

  // One entry, and the same with a byte changed.
  const oona = await enter(browser, told.oona);
  await oona.page.goto('/ledger');
  await oona.page.locator('tbody tr a').first().click();
  await oona.page.locator('#check-result .good').waitFor();
  must(true, 'an entry is checked by the browser');
  const at = new URL(oona.page.url()).pathname;
  for (const part of ['leaf', 'proof', 'vkey']) {
    const page = await oona.context.newPage();
    if (part === 'vkey') {
      await page.goto(at);
      await page.locator('#check-result .good').waitFor();
      await page.locator('#vkey').fill((await page.locator('#vkey').inputValue()).replace(/.{6}$/, 'AAAAA='));
      await page.locator('#check-run').click();
    } else {
      await page.route(`**${at}/${part}`, async (route) => {
        const answer = await route.fetch();
        const body = Buffer.from(await answer.body());
        body[part === 'leaf' ? 100 : body.length - 30] ^= 1;
        await route.fulfill({ response: answer, body });
      });
      await page.goto(at);
    }
    await page.locator('#check-result .bad').waitFor();
    must(true, `an entry with another ${part} is refused`);
    await page.close();
  }
});
