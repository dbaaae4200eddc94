/**
 * The console: sign-in, navigation, one page at a time by the address behind the hash, and a banner when the gateway
 * does not answer. Pages are in pages-*.js; everything that it does is an operation of the admin API.
 */

import { call, contact, isStale, me, points, signIn, signOut, stream, watchContact } from './api.js';
import { AccountsPage } from './pages-accounts.js';
import { ApisPage } from './pages-apis.js';
import { ChangesPage } from './pages-changes.js';
import { ClusterPage } from './pages-cluster.js';
import { LimitsPage } from './pages-limit.js';
import { BansPage, CachePage } from './pages-limits.js';
import { EventsPage, Overview } from './pages-overview.js';
import { RequestsPage } from './pages-requests.js';
import { RoutesPage } from './pages-routes.js';
import { ServicesPage } from './pages-services.js';
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
  apis: ['API pages', ApisPage],
  cluster: ['Cluster', ClusterPage],
  events: ['Events', EventsPage],
};
const MOST_POINTS = 300;

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
    const endWatching = watchContact();
    return () => {
      end();
      endWatching();
    };
  }, []);
  const [title, Page] = PAGES[page.value];
  document.title = `${title} · Gatehouse`;
  return html`<header>
      <strong>Gatehouse</strong>
      <nav aria-label="Pages">${Object.entries(PAGES).map(
        ([name, [text]]) =>
          html`<a href=${`#/${name}`} aria-current=${name === page.value ? 'page' : undefined}>${text}</a>`,
      )}</nav>
      <span class="soft">${who.name}, ${who.role}</span>
      <button type="button" onClick=${signOut}>Sign out</button>
    </header>
    <div role="alert">${isStale.value && html`<p class="banner">The gateway does not answer. <${Age} /></p>`}</div>
    <main tabindex="-1" class=${isStale.value ? 'stale' : ''}><${Page} /></main>`;
}

/** By itself, so that a second that passes draws no page again. It is no news, so it is not read out. */
function Age() {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((count) => count + 1), 1000);
    return () => clearInterval(timer);
  }, []);
  return html`<span aria-live="off">What is shown is ${ago(Date.now() - contact.peek().at)} old.</span>`;
}

const root = document.getElementById('app');
root.textContent = '';
render(html`<${App} />`, root);
void signIn();
