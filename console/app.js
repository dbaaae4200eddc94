/**
 * The console: sign-in, navigation, one page at a time by the address behind the hash, and a banner when the gateway
 * does not answer. Pages are in pages-*.js; everything that it does is an operation of the admin API.
 */

import { call, contact, me, points, signIn, signOut, stream } from './api.js';
import { AccountsPage } from './pages-accounts.js';
import { ChangesPage } from './pages-changes.js';
import { ClusterPage } from './pages-cluster.js';
import { LimitsPage } from './pages-limit.js';
import { BansPage, CachePage } from './pages-limits.js';
import { EventsPage, Overview } from './pages-overview.js';
import { RequestsPage } from './pages-requests.js';
import { RoutesPage, ServicesPage } from './pages-traffic.js';
import { SignIn } from './sign-in.js';
import { ago, html } from './ui.js';
import { useEffect, useState } from './vendor/hooks.js';
import { render } from './vendor/preact.js';
import { signal } from './vendor/signals.js';

const PAGES = {
  '': ['Overview', Overview],
  routes: ['Routes', RoutesPage],
  services: ['Services', ServicesPage],
  requests: ['Requests', RequestsPage],
  limits: ['Limits', LimitsPage],
  bans: ['Bans', BansPage],
  accounts: ['Accounts', AccountsPage],
  cache: ['Cache', CachePage],
  changes: ['Changes', ChangesPage],
  cluster: ['Cluster', ClusterPage],
  events: ['Events', EventsPage],
};
const MOST_POINTS = 300;
const LOST_AFTER_MS = 10_000;

const page = signal(pageName());
addEventListener('hashchange', () => {
  page.value = pageName();
  document.querySelector('main')?.focus();
});

function pageName() {
  const name = location.hash.replace(/^#\/?/, '').split('?', 1)[0];
  return Object.hasOwn(PAGES, name) ? name : '';
}

function App() {
  const who = me.value;
  if (who === undefined) return html`<main><p class="soft">One moment …</p></main>`;
  return who === null ? html`<${SignIn} />` : html`<${Shell} who=${who} />`;
}

function Shell({ who }) {
  const [, tick] = useState(0);
  useEffect(() => {
    void call('GET', '/traffic').then(
      ({ points: found }) => {
        points.value = found;
      },
      () => {},
    );
    const end = stream('/traffic/stream', 'point', (point) => {
      contact.value = { at: Date.now(), isLost: false };
      points.value = [...points.value, point].slice(-MOST_POINTS);
    });
    const timer = setInterval(() => tick((count) => count + 1), 1000);
    return () => {
      end();
      clearInterval(timer);
    };
  }, []);
  const [title, Page] = PAGES[page.value];
  document.title = `${title} · Gatehouse`;
  const { at, isLost } = contact.value;
  const age = Date.now() - at;
  const isStale = isLost || age > LOST_AFTER_MS;
  return html`<header>
      <strong>Gatehouse</strong>
      <nav aria-label="Pages">${Object.entries(PAGES).map(
        ([name, [text]]) =>
          html`<a href=${`#/${name}`} aria-current=${name === page.value ? 'page' : undefined}>${text}</a>`,
      )}</nav>
      <span class="soft">${who.name}, ${who.role}</span>
      <button type="button" onClick=${signOut}>Sign out</button>
    </header>
    <div role="alert">${isStale && html`<p class="banner">The gateway does not answer. What is shown is ${ago(age)} old.</p>`}</div>
    <main tabindex="-1" class=${isStale ? 'stale' : ''}><${Page} /></main>`;
}

const root = document.getElementById('app');
root.textContent = '';
render(html`<${App} />`, root);
void signIn();
