/**
 * The console where it is hard: with 1,000 routes and 500 instances, with nothing to show, when the gateway has gone,
 * by keyboard alone, and for whoever wants nothing to move.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { until } from '../support/until.ts';
import { checkLook, startChromium } from './chromium.ts';

const TOKEN = 'admin-token-that-is-long-enough';
const ADMIN = { listen: '127.0.0.1:0', tokens: [{ name: 'a', role: 'admin', token: TOKEN }] };
const ROUTES = 1_000;
const SERVICES = 10;
const INSTANCES = 500;
/** What a page reads each few seconds may not grow with what there is. */
const MOST_BYTES = 150_000;
const LONG_MS = 60_000;

let browser: Browser;
const ends: (() => unknown)[] = [];
const scope = { after: (end: () => unknown) => void ends.unshift(end) };

before(async () => {
  browser = await startChromium();
});
after(async () => {
  await browser?.close();
  for (const end of ends) await end();
});

function originOf(gateway: TestGateway): string {
  const found = gateway.primary.opsSources().features.find(({ sections }) => sections?.['admin'] !== undefined);
  return (found!.sections!['admin'] as { url: string }).url;
}

/** In the page: the streams that it has opened, and the most bytes that each path said over them. */
const WATCHED = `{
  window.streams = [];
  window.sizes = {};
  const Source = EventSource;
  window.EventSource = class extends Source {
    constructor(url) {
      super(url);
      streams.push(this);
      this.addEventListener('read', ({ data }) => {
        const path = JSON.parse(data).path.split('?', 1)[0];
        sizes[path] = Math.max(sizes[path] ?? 0, data.length);
      });
    }
  };
}`;

/** Signed in, with what went wrong in it. */
async function openConsole(gateway: TestGateway): Promise<{ readonly page: Page; readonly wrong: string[] }> {
  const response = await fetch(`${originOf(gateway)}/api/links`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
    body: '{}',
  });
  const page = await browser.newPage({ viewport: { width: 1200, height: 900 } });
  page.setDefaultTimeout(LONG_MS);
  const wrong: string[] = [];
  page.on('pageerror', (error) => wrong.push(error.message));
  await page.addInitScript(WATCHED);
  await page.goto(((await response.json()) as { url: string }).url);
  await page.waitForSelector('nav');
  return { page, wrong };
}

const go = (page: Page, name: string): Promise<void> => page.click(`nav >> text=${name}`);

describe('a console of 1,000 routes and 500 instances', () => {
  let page: Page;
  let wrong: string[];
  const sizeOf = async (path: string): Promise<number> =>
    ((await page.evaluate(`sizes[${JSON.stringify(path)}]`)) as number | undefined) ?? 0;

  before(async () => {
    const each = INSTANCES / SERVICES;
    const gateway = await startTestGateway(scope, {
      admin: ADMIN,
      services: Object.fromEntries(
        Array.from({ length: SERVICES }, (_, s) => [
          `service-${s}`,
          { instances: Array.from({ length: each }, (__, i) => `http://127.0.${s}.${i + 1}:9`) },
        ]),
      ),
      routes: Array.from({ length: ROUTES }, (_, i) => ({
        name: `route-${i}`,
        match: { path: `/api/v1/things-${i}/*` },
        service: `service-${i % SERVICES}`,
        auth: 'public',
      })),
    });
    ({ page, wrong } = await openConsole(gateway));
  });

  const rows = (caption: string) => page.locator(`[aria-label=${JSON.stringify(caption)}] tbody tr`);
  const status = (text: string) => page.waitForSelector(`[role=status]:has-text(${JSON.stringify(text)})`);

  it('shows 100 routes, 100 more when asked, and any of them by search, which is in the address', async () => {
    await go(page, 'Routes');
    await status(', the first 100 are shown');
    assert.match(await page.innerText('main'), /(1,0\d\d) of \1, the first 100 are shown/);
    assert.equal(await rows('Routes').count(), 100);
    await page.click('button:text-is("Show 100 more")');
    await status('the first 200 are shown');
    assert.equal(await rows('Routes').count(), 200);
    await page.fill('input[name=q]', 'THINGS-777');
    await status('1 of 1,0');
    assert.equal(await rows('Routes').count(), 1);
    assert.match(await rows('Routes').innerText(), /route-777.*\/api\/v1\/things-777/s);
    assert.equal(new URL(page.url()).hash, '#/routes?q=THINGS-777');
    await page.fill('input[name=q]', 'no such thing');
    await page.waitForSelector('text=No route has “no such thing”.');
    assert.equal(await page.evaluate('document.activeElement.name'), 'q', 'the focus stays where somebody types');
  });

  it('shows 100 instances over all services, and one by search with its service', async () => {
    await go(page, 'Services');
    await status('10 of 10 services, the first 100 instances are shown');
    assert.equal(await page.locator('tbody tr').count(), 100);
    await page.click('button:text-is("Show 100 more")');
    await status('the first 200 instances are shown');
    assert.equal(await page.locator('tbody tr').count(), 200);
    await page.fill('input[name=q]', '127.0.7.42');
    await status('1 of 10 services');
    assert.equal(await page.locator('tbody tr').count(), 1);
    await page.waitForSelector('h2:text-is("service-7")');
    await page.waitForSelector('p:text-is("1 of 50 instances")');
  });

  it('reads no more for that than for a few, whatever page is open', async () => {
    await go(page, 'Overview');
    await until(async () => (await sizeOf('/status')) > 0, 'the overview', LONG_MS);
    await go(page, 'Routes');
    await page.waitForSelector('td:text-is("route-7")');
    for (const path of ['/status', '/routes', '/services']) {
      const size = await sizeOf(path);
      assert.ok(size > 100 && size < MOST_BYTES, `${path}: ${size} bytes`);
    }
  });

  it('explains a request among 1,000 routes without 1,000 lines', async () => {
    await go(page, 'Routes');
    await page.fill('input[name=url]', '/api/v1/things-500/x');
    await page.click('button:text-is("Explain")');
    await page.waitForSelector('strong:text-is("route-500")');
    assert.ok((await rows('Considered, first to last').count()) <= 100);
    await checkLook(page, 'console-many-routes');
    await go(page, 'Services');
    await status('10 of 10 services');
    await checkLook(page, 'console-many-instances');
    assert.deepEqual(wrong, []);
  });
});

describe('a console of a gateway that does nothing yet', () => {
  /** What each page says one can do. */
  const WORDS: Readonly<Record<string, RegExp>> = {
    Overview: /Nothing\./,
    Services: /Add one under services in the configuration/,
    Requests: /requests appear here when they end/,
    Limits: /Name an address, a user or an API key/,
    Bans: /Add abuse: \{\} to the configuration/,
    Accounts: /Add identity: \{ enabled: true \} to the configuration/,
    Cache: /Add cache: \{\} to a route, a service or the gateway/,
    Changes: /the gateway started/,
    'API pages': /Add openapi: \{\} to the configuration/,
    Cluster: /Give several gateways the key cluster and one store/,
    Events: /the admin API listens/,
  };
  let gateway: TestGateway;
  let page: Page;

  before(async () => {
    gateway = await startTestGateway(scope, { admin: ADMIN });
    ({ page } = await openConsole(gateway));
  });

  for (const [name, words] of Object.entries(WORDS))
    it(`says what to do: ${name}`, async () => {
      await go(page, name);
      await page.waitForSelector(`nav a[aria-current]:has-text(${JSON.stringify(name)})`);
      const giveUpMs = performance.now() + LONG_MS;
      while (!words.test(await page.innerText('main')))
        assert.ok(performance.now() < giveUpMs, await page.innerText('main'));
    });

  it('routes: those of the gateway itself, and none by a text that none has', async () => {
    await go(page, 'Routes');
    await page.waitForSelector('td:has-text("builtin:ops/health")');
    await page.fill('input[name=q]', 'zebra');
    await page.waitForSelector('text=No route has “zebra”.');
  });

  it('nothing moves for whoever wants that', async () => {
    await page.emulateMedia({ reducedMotion: 'reduce' });
    for (const name of ['Overview', 'Services', 'Bans']) {
      await go(page, name);
      const moving = await page.evaluate(
        `[...document.querySelectorAll('*')].filter((each) => { const style = getComputedStyle(each); return parseFloat(style.transitionDuration) > 0 || style.animationName !== 'none'; }).length + document.getAnimations().length`,
      );
      assert.equal(moving, 0, name);
    }
    await page.emulateMedia({ reducedMotion: 'no-preference' });
  });

  it('says how old what it shows is, when the gateway has gone, and keeps showing it', async () => {
    await go(page, 'Overview');
    await page.waitForSelector('h1:has-text("gatehouse: healthy")');
    await gateway.stop({ timeoutMs: 100 });
    await page.waitForSelector('[role=alert]:has-text("The gateway does not answer. What is shown is")');
    const age = async (): Promise<number> =>
      Number(/is (\d+) s old/.exec(await page.innerText('.banner'))?.[1] ?? Number.NaN);
    const first = await age();
    const giveUpMs = performance.now() + LONG_MS;
    while (!((await age()) > first)) assert.ok(performance.now() < giveUpMs, `its age stays ${first} s`);
    await page.waitForSelector('main.stale h1:has-text("gatehouse: healthy")');
    await checkLook(page, 'console-stale');
    await go(page, 'Services');
    await page.waitForSelector('h1:text-is("Services")');
    assert.equal(await page.locator('main.stale').count(), 1);
  });
});

describe('a console whose numbers are live', () => {
  let gateway: TestGateway;
  let page: Page;
  const asked: string[] = [];
  /** Of all that the page has opened. */
  const openStreams = async (): Promise<number> =>
    (await page.evaluate('streams.filter(({ readyState }) => readyState !== 2).length')) as number;
  const setHidden = (isHidden: boolean): Promise<unknown> =>
    page.evaluate(
      `Object.defineProperty(document, 'hidden', { value: ${isHidden}, configurable: true }); document.dispatchEvent(new Event('visibilitychange'))`,
    );
  const connections = 'dl.numbers div:has(dt:text-is("Connections")) dd';

  before(async () => {
    gateway = await startTestGateway(scope, {
      admin: ADMIN,
      abuse: {},
      routes: [
        {
          name: 'open',
          match: { path: '/open' },
          respond: { body: 'x' },
          auth: 'public',
          rateLimit: { by: 'ip', limits: ['1000/1h'] },
        },
      ],
    });
    ({ page } = await openConsole(gateway));
    page.on('request', (request) => {
      const { pathname } = new URL(request.url());
      if (pathname.includes('/api/')) asked.push(pathname);
    });
  });

  it('every page that follows something has one stream for all of it, and asks for nothing beside it', async () => {
    for (const name of ['Overview', 'Routes', 'Services', 'Bans', 'Accounts', 'Cache', 'Changes', 'Cluster']) {
      await go(page, name);
      await page.waitForSelector(`nav a[aria-current]:has-text(${JSON.stringify(name)})`);
      await until(async () => !(await page.innerText('main')).includes('Reading'), `${name} is read`, LONG_MS);
      await until(async () => (await openStreams()) === 1, `${name} has one stream`, LONG_MS);
    }
    assert.deepEqual([...new Set(asked)], ['/console/api/page/stream']);
  });

  it('shows what changes: routes that are called, bans that are made elsewhere, limits that are used', async () => {
    await go(page, 'Routes');
    const row = '[aria-label="Routes"] tr:has(td:text-is("open"))';
    const counted = async (): Promise<number> => Number(await page.innerText(`${row} td:nth-child(5)`));
    await page.waitForSelector(row);
    const before = await counted();
    await (await fetch(`${gateway.url}/open`)).text();
    await until(async () => (await counted()) === before + 1, 'the request is counted', LONG_MS);
    await go(page, 'Bans');
    await page.waitForSelector('text=Nobody is banned.');
    const made = await fetch(`${originOf(gateway)}/api/features/limits/bans`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
      body: JSON.stringify({ kind: 'address', subject: '203.0.113.9', for: '1h' }),
    });
    assert.ok(made.ok, await made.text());
    await page.waitForSelector('td:has-text("203.0.113.9")');
    await go(page, 'Limits');
    await page.fill('input[name=address]', '127.0.0.1');
    await page.click('button:text-is("Look up")');
    const left = async (): Promise<number> =>
      Number((await page.innerText('[aria-label="Limits of this caller"] tbody td:nth-child(3)')).replace(',', ''));
    await page.waitForSelector('[aria-label="Limits of this caller"]');
    const had = await left();
    for (let i = 0; i < 20; i++) await (await fetch(`${gateway.url}/open`)).text();
    await until(async () => (await left()) <= had - 10, 'the limit is used', LONG_MS);
    assert.deepEqual([...new Set(asked)], ['/console/api/page/stream']);
  });

  it('a tab that is not seen has no stream; one that is seen again shows what it missed', async () => {
    await go(page, 'Overview');
    await until(async () => (await openStreams()) === 1, 'one stream', LONG_MS);
    await page.waitForSelector(connections);
    await setHidden(true);
    await until(async () => (await openStreams()) === 0, 'no stream', LONG_MS);
    await setHidden(false);
    await until(async () => (await openStreams()) === 1, 'one stream', LONG_MS);
    const last = (await page.evaluate("new URL(streams.at(-1).url).searchParams.get('after')")) as string;
    assert.ok(Number(last) > 1e9, `it asks for points after ${last}`);
    await page.waitForSelector('main:not(.stale) h1:has-text("gatehouse: healthy")');
  });

  it('reads by itself where streams are refused, and has one again when they are not', async () => {
    await page.evaluate('window.Real = EventSource');
    // As one that gets another status than 200: it is closed, and the browser does not try again.
    await page.evaluate(`window.EventSource = class extends Real {
      constructor(url) { super(url.replace('/page/stream', '/page/refused')); }
    }`);
    asked.length = 0;
    await go(page, 'Services');
    await page.waitForSelector('text=No services are configured.');
    await until(() => asked.includes('/console/api/services'), 'a reading', LONG_MS);
    await page.evaluate('window.EventSource = Real');
    await until(async () => (await openStreams()) === 1, 'a stream', LONG_MS);
  });
});

describe('a console that is being loaded', () => {
  let gateway: TestGateway;

  before(async () => {
    gateway = await startTestGateway(scope, { admin: ADMIN });
  });

  it('has its look before any other file has come', async () => {
    const page = await browser.newPage();
    page.setDefaultTimeout(LONG_MS);
    const asked: string[] = [];
    await page.route('**/*.{js,css}', (route) => {
      asked.push(new URL(route.request().url()).pathname);
      return route.abort();
    });
    await page.goto(`${originOf(gateway)}/console/`);
    await page.waitForSelector('header strong:text-is("Gatehouse")');
    assert.equal(await page.evaluate("getComputedStyle(document.querySelector('header')).display"), 'flex');
    assert.ok(asked.length > 0 && asked.every((path) => path.endsWith('.js')), asked.join());
    await page.close();
  });

  it('loads one page first and then the others, which are there when the gateway has gone', async () => {
    const { page, wrong } = await openConsole(gateway);
    const files = async (): Promise<string[]> =>
      (await page.evaluate(
        "performance.getEntriesByType('resource').map(({ name }) => name.split('/').at(-1))",
      )) as string[];
    await page.waitForSelector('h1:has-text("healthy")');
    await until(async () => (await files()).includes('pages-cluster.js'), 'all pages', LONG_MS);
    const found = await files();
    for (const name of ['pages-routes.js', 'pages-accounts.js', 'pages-cluster.js'])
      assert.ok(found.indexOf('pages-overview.js') < found.indexOf(name), found.join());
    await gateway.stop({ timeoutMs: 100 });
    await page.waitForSelector('[role=alert]:has-text("The gateway does not answer.")');
    for (const name of ['Limits', 'Events', 'Routes', 'Services']) {
      await go(page, name);
      await page.waitForSelector(`h1:text-is(${JSON.stringify(name)})`);
    }
    assert.deepEqual(wrong, []);
    await page.close();
  });
});

describe('a console without a mouse', () => {
  it('drains an instance and takes it back by keyboard, and shows where one is', async () => {
    const gateway = await startTestGateway(scope, {
      admin: ADMIN,
      services: { orders: { instances: ['http://127.0.0.1:9', 'http://127.0.0.1:10'] } },
      routes: [{ match: { path: '/a' }, service: 'orders', auth: 'public' }],
    });
    const { page } = await openConsole(gateway);
    const { keyboard } = page;
    /** The name that a screen reader says. */
    const focused = () =>
      page.evaluate(
        "(document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent).trim()",
      ) as Promise<string>;
    const tabTo = async (name: string): Promise<void> => {
      for (let i = 0; i < 40; i++) {
        await keyboard.press('Tab');
        if ((await focused()) === name) {
          const outline = await page.evaluate('parseFloat(getComputedStyle(document.activeElement).outlineWidth)');
          assert.ok((outline as number) >= 2, `${name} has a ring when it has the focus`);
          return;
        }
      }
      assert.fail(`no Tab leads to ${name}; the last was ${await focused()}`);
    };
    await tabTo('Services');
    await keyboard.press('Enter');
    await page.waitForSelector('td:has-text("http://127.0.0.1:9")');
    assert.equal(await page.evaluate('document.activeElement.tagName'), 'MAIN', 'the page has the focus');
    await tabTo('Drain http://127.0.0.1:9');
    await keyboard.press('Enter');
    await page.waitForSelector('dialog[open]');
    await keyboard.press('Escape');
    await page.waitForSelector('dialog[open]', { state: 'detached' });
    assert.equal(await focused(), 'Drain http://127.0.0.1:9', 'the focus is back');
    await keyboard.press('Enter');
    await page.waitForSelector('dialog[open]');
    assert.equal(await page.evaluate('document.activeElement.name'), 'reason');
    await keyboard.type('by keyboard');
    await keyboard.press('Enter');
    await page.waitForSelector('td:has-text("drained")');
    assert.equal(gateway.primary.overrides.list()[0]?.reason, 'by keyboard');
    await tabTo('Take traffic again: http://127.0.0.1:9');
    await keyboard.press('Enter');
    await until(() => gateway.primary.overrides.list().length === 0, 'the end of the drain', LONG_MS);
    await page.close();
  });
});
