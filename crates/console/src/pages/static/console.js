// What every page does with script: clocks that run down, keys of an inbox, a form that says at once what would come of it.
// Everything works without, but for what it shows in the moment.

// A page that a browser kept and shows again may be of somebody who has signed out.
addEventListener('pageshow', (event) => { if (event.persisted) location.reload(); });

const unit = new Intl.NumberFormat(document.documentElement.lang, { style: 'unit', unit: 'second', unitDisplay: 'narrow' });
const minutes = new Intl.NumberFormat(document.documentElement.lang, { style: 'unit', unit: 'minute', unitDisplay: 'narrow' });
const hours = new Intl.NumberFormat(document.documentElement.lang, { style: 'unit', unit: 'hour', unitDisplay: 'narrow' });

function told(seconds) {
  const parts = [];
  if (seconds >= 3600) parts.push(hours.format(Math.floor(seconds / 3600)));
  if (seconds >= 60) parts.push(minutes.format(Math.floor((seconds % 3600) / 60)));
  if (seconds < 3600) parts.push(unit.format(seconds % 60));
  return parts.join(' ');
}

for (const left of document.querySelectorAll('.left[data-until]')) {
  const run = () => {
    const seconds = Math.max(0, Number(left.dataset.until) - Math.floor(Date.now() / 1000));
    if (seconds < 172800) left.textContent = left.dataset.words.replace('{}', told(seconds));
    if (seconds > 0) setTimeout(run, 1000);
  };
  run();
}

// One key decides, but only while a request has the focus: nobody approves by typing elsewhere.
for (const card of document.querySelectorAll('.decide')) {
  card.addEventListener('keydown', (event) => {
    if (event.target !== card || event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.toLowerCase();
    const step = { arrowdown: 'nextElementSibling', arrowup: 'previousElementSibling' }[key];
    if (step) { event.preventDefault(); card[step]?.focus(); return; }
    card.querySelector(`button[data-key="${CSS.escape(key)}"]`)?.click();
  });
}

const ask = document.getElementById('ask');
if (ask) {
  const outcome = document.getElementById('outcome');
  // Not `ask.dataset`: the form has a field of that name.
  const where = ask.getAttribute('data-check');
  let asked = 0, timer;
  const check = async () => {
    const mine = ++asked;
    const body = new URLSearchParams(new FormData(ask));
    try {
      const answer = await fetch(where, { method: 'POST', body, credentials: 'same-origin' });
      const text = await answer.text();
      // A later question has a later answer.
      if (mine === asked) outcome.innerHTML = answer.ok ? text : '';
    } catch {
      // Nothing is said rather than what was so before.
      if (mine === asked) outcome.replaceChildren();
    }
  };
  ask.addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(check, 300); });
}

// What is being worked out is looked for again, and the page is loaded anew only when some of it is there.
const busy = document.querySelectorAll('[data-again]');
if (busy.length) {
  const look = async () => {
    try {
      const answer = await fetch(location.href, { credentials: 'same-origin' });
      const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
      if (fresh.querySelectorAll('[data-again]').length !== busy.length) { location.reload(); return; }
    } catch { /* It is tried again. */ }
    setTimeout(look, Number(busy[0].dataset.again) * 1000);
  };
  setTimeout(look, Number(busy[0].dataset.again) * 1000);
}
