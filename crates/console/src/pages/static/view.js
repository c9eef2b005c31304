// The case view: rows come over one stream and go when it says so, or when it breaks off. To look again is to load the page
// again: it is a crossing of its own, and nobody makes one by a lost connection.

const sheet = document.getElementById('view');
const place = document.getElementById('rows');
let over = false;

function end(words) {
  if (over) return;
  over = true;
  source.close();
  const said = document.createElement('p');
  said.className = 'outcome no';
  said.textContent = words;
  place.replaceChildren(said);
  sheet.setAttribute('aria-busy', 'false');
}

const source = new EventSource(sheet.dataset.stream);
// A sign of life comes each second, so that a connection that died without a word does not keep rows on the screen.
const SILENCE = 5000;
let heard = Date.now();
setInterval(() => {
  if (Date.now() - heard > SILENCE) end(sheet.dataset.broken);
  if (Date.now() / 1000 >= Number(sheet.dataset.until) + 1) end(sheet.dataset.over);
}, 250);
for (const event of ['beat', 'begin', 'rows', 'whole']) source.addEventListener(event, () => { heard = Date.now(); });
source.addEventListener('begin', (event) => { place.innerHTML = JSON.parse(event.data); });
source.addEventListener('rows', (event) => {
  document.getElementById('view-rows')?.insertAdjacentHTML('beforeend', JSON.parse(event.data));
});
source.addEventListener('whole', () => sheet.setAttribute('aria-busy', 'false'));
source.addEventListener('end', () => end(sheet.dataset.over));
source.addEventListener('error', () => end(sheet.dataset.broken));
// What is left behind is taken away: nothing is there for whoever comes back to it.
addEventListener('pagehide', () => end(sheet.dataset.broken));
