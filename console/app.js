/**
 * The console: sign-in, navigation, one page at a time by the address behind the hash, and a banner when the gateway
 * does not answer. Pages are in pages-*.js; everything that it does is an operation of the admin API.
 */

import { contact, isStale, me, signIn, signOut, watchContact } from './api.js';
import { startLive } from './live.js';
import { SignIn } from './sign-in.js';
import { ago, html } from './ui.js';
import { useEffect, useState } from './vendor/hooks.js';
import { render } from './vendor/preact.js';
import { signal } from './vendor/signals.js';

/** Each is loaded when it is first shown, or when the browser is idle. */
const PAGES = {
  '': ['Overview', () => import('./pages-overview.js').then((from) => from.Overview)],
  routes: ['Routes', () => import('./pages-routes.js').then((from) => from.RoutesPage)],
  services: ['Services', () => import('./pages-services.js').then((from) => from.ServicesPage)],
  requests: ['Requests', () => import('./pages-requests.js').then((from) => from.RequestsPage)],
  limits: ['Limits', () => import('./pages-limit.js').then((from) => from.LimitsPage)],
  bans: ['Bans', () => import('./pages-limits.js').then((from) => from.BansPage)],
  accounts: ['Accounts', () => import('./pages-accounts.js').then((from) => from.AccountsPage)],
  cache: ['Cache', () => import('./pages-limits.js').then((from) => from.CachePage)],
  changes: ['Changes', () => import('./pages-changes.js').then((from) => from.ChangesPage)],
  apis: ['API pages', () => import('./pages-apis.js').then((from) => from.ApisPage)],
  cluster: ['Cluster', () => import('./pages-cluster.js').then((from) => from.ClusterPage)],
  events: ['Events', () => import('./pages-overview.js').then((from) => from.EventsPage)],
};

const page = signal(pageName());
addEventListener('hashchange', () => {
  page.value = pageName();
  document.querySelector('main')?.focus();
});

/** Pages that have been loaded, by name. */
const loaded = signal({});
const AGAIN_AFTER_MS = 1000;

function loadPage(name) {
  return PAGES[name][1]().then((component) => {
    loaded.value = { ...loaded.peek(), [name]: component };
  });
}

/** All others, one after the other: a gateway that goes away takes no page with it. */
async function loadAll() {
  for (const name of Object.keys(PAGES)) if (loaded.peek()[name] === undefined) await loadPage(name).catch(() => {});
}

/** What is shown until the page is there. */
function Loading({ name }) {
  useEffect(() => {
    let timer;
    const load = () => {
      loadPage(name).catch(() => {
        timer = setTimeout(load, AGAIN_AFTER_MS);
      });
    };
    load();
    return () => clearTimeout(timer);
  }, [name]);
  return html`<p class="soft">One moment …</p>`;
}

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
    const end = startLive();
    const endWatching = watchContact();
    return () => {
      end();
      endWatching();
    };
  }, []);
  const [title] = PAGES[page.value];
  const Page = loaded.value[page.value];
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
    <main tabindex="-1" class=${isStale.value ? 'stale' : ''}>${Page === undefined ? html`<${Loading} name=${page.value} />` : html`<${Page} />`}</main>`;
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

// Side by side: what the page needs, and who asks for it.
const first = loadPage(page.value).catch(() => {});
const root = document.getElementById('app');
root.textContent = '';
render(html`<${App} />`, root);
void Promise.all([first, signIn()]).then(() => (globalThis.requestIdleCallback ?? setTimeout)(loadAll));
