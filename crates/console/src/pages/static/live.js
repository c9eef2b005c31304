// Crossings as they happen. Rows come as markup of our own server, in which everything is escaped.

const table = document.getElementById('crossings');
const body = table.tBodies[0];
const most = Number(table.dataset.most);
const rate = document.getElementById('rate');
const stale = document.getElementById('stale');
const state = document.getElementById('state');
const pause = document.getElementById('pause');
const seen = [];

function count(all) {
  const now = Date.now();
  seen.push([now, all]);
  while (seen.length && seen[0][0] < now - 60000) seen.shift();
  const sum = seen.reduce((n, [, more]) => n + more, 0);
  rate.textContent = `${sum} ${table.dataset.rate}`;
}

function show(rows) {
  const made = document.createElement('template');
  made.innerHTML = `<table><tbody>${rows.join('')}</tbody></table>`;
  const fresh = [...made.content.querySelectorAll('tr')];
  fresh.forEach((row) => row.classList.add('new'));
  body.prepend(...fresh);
  while (body.rows.length > most) body.deleteRow(-1);
}

const source = new EventSource('/overview/live');
source.addEventListener('crossings', (event) => {
  const { all, rows } = JSON.parse(event.data);
  count(all);
  if (pause.getAttribute('aria-pressed') !== 'true') show(rows);
  document.body.dataset.seen = String(Number(document.body.dataset.seen ?? 0) + all);
});
source.addEventListener('state', (event) => {
  if (stale.textContent) stale.textContent = '';
  const markup = JSON.parse(event.data);
  if (state.dataset.last !== markup) { state.dataset.last = markup; state.innerHTML = markup; }
});
source.addEventListener('error', () => { stale.textContent = stale.dataset.words; });
source.addEventListener('end', () => { source.close(); location.replace('/'); });
pause.addEventListener('click', () => pause.setAttribute('aria-pressed', String(pause.getAttribute('aria-pressed') !== 'true')));
