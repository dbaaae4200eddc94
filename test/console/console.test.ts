/**
 * The console in a real browser: signs in by a link, does what operators do, is readable for everybody, runs no script
 * of others.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { Browser, Page } from 'playwright-core';
import { createLogger } from '../../src/base/log.ts';
import type { Primary } from '../../src/control/primary.ts';
import { startGateway } from '../../src/main.ts';
import { httpUpstream } from '../support/upstream.ts';
import { checkLook, startChromium } from './chromium.ts';

const TOKEN = 'admin-token-that-is-long-enough';
const HOSTILE = '<img src=x onerror="window.broken=1">';

const PAGES = [
  'Overview',
  'Routes',
  'Services',
  'Requests',
  'Limits',
  'Bans',
  'Accounts',
  'Cache',
  'Changes',
  'API pages',
  'Cluster',
  'Events',
];

/**
 * What each task of operators costs, in clicks, from wherever one is; what is typed is not counted. None may cost more.
 */
const MOST_CLICKS = {
  'is it healthy, and why not': 1,
  'which route takes this request': 2,
  'what happens to it': 3,
  'who is limited': 2,
  'forget what was counted': 4,
  'who is banned': 1,
  'ban an address': 2,
  'drain an instance': 3,
  'force a breaker': 3,
  'add an instance': 3,
  'take an instance out': 3,
  'put it back': 2,
  'find one request by its id': 2,
  'make a key': 4,
  'rotate a key': 5,
  'revoke a key': 4,
  'end a session': 4,
  'what changed, and by whom': 1,
  'undo it': 3,
  'which node is the queen': 1,
} as const;
type Task = keyof typeof MOST_CLICKS;

describe('the console in Chromium', () => {
  let gateway: { readonly primary: Primary; readonly url: string; reload(): Promise<unknown> };
  let folder: string;
  let document: { readonly routes: readonly object[]; readonly [section: string]: unknown };
  let browser: Browser;
  let page: Page;
  let origin: string;
  const wrong: string[] = [];
  const ends: (() => unknown)[] = [];
  const scope = { after: (end: () => unknown) => void ends.unshift(end) };

  const link = async (role: string): Promise<string> => {
    const response = await fetch(`${origin}/api/links`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
      body: JSON.stringify({ role }),
    });
    return ((await response.json()) as { url: string }).url;
  };
  const open = async (name: string): Promise<void> => {
    await page.click(`nav >> text=${name}`);
    await page.waitForSelector(`nav a[aria-current]:has-text("${name}")`);
  };

  /** JSON is YAML too. */
  const write = (made: object): Promise<void> =>
    writeFile(join(folder, 'gatehouse.yaml'), JSON.stringify(made, null, 2));
  const version = async (body: string): Promise<void> => {
    const extra = { name: 'extra', match: { path: '/extra' }, auth: 'public', respond: { body } };
    await write({ ...document, routes: [...document.routes, extra] });
    await gateway.reload();
  };

  /** Does a task and holds its clicks against what it may cost. */
  const done = new Set<Task>();
  const task = async (name: Task, work: () => Promise<unknown>): Promise<void> => {
    const count = async (): Promise<number> => ((await page.evaluate('window.clicks')) as number | undefined) ?? 0;
    const before = await count();
    await work();
    const clicks = (await count()) - before;
    assert.ok(clicks <= MOST_CLICKS[name], `${name}: ${clicks} clicks`);
    done.add(name);
  };
  const brokenBy = async (where: string): Promise<void> => {
    assert.equal(await page.evaluate('window.broken'), undefined, where);
    assert.equal(await page.locator('img, script[src="x"]').count(), 0, where);
  };

  before(async () => {
    const upstream = await httpUpstream(scope as never, (_, response) => {
      response.setHeader('cache-control', 'max-age=600');
      response.setHeader('x-note', HOSTILE);
      response.end(`ok ${HOSTILE}`);
    });
    folder = await mkdtemp(join(tmpdir(), 'gh-console-'));
    scope.after(() => rm(folder, { recursive: true, force: true }));
    document = {
      gateway: { host: '127.0.0.1', port: 0, workers: 1, accessLog: 'off', dataDir: './own', watch: false },
      admin: {
        listen: '127.0.0.1:0',
        writable: true,
        tokens: [{ name: HOSTILE, role: 'admin', token: TOKEN }],
      },
      abuse: {},
      openapi: {},
      objectives: { notes: { routes: ['notes'], availability: '99.9%', latency: { under: '2s', for: '99%' } } },
      cluster: { name: 'prod', node: 'gateway-1' },
      identity: {
        enabled: true,
        firstAdmin: 'off',
        registration: { verifyEmail: 'off' },
        passwords: { memory: '8mb', passes: 1 },
        plans: ['free', 'gold'],
      },
      services: { notes: { instances: [{ url: upstream.url }], circuitBreaker: {} } },
      routes: [
        {
          name: 'notes',
          match: { path: '/api/notes/*' },
          service: 'notes',
          auth: 'public',
          cache: {},
          rateLimit: { by: 'ip', limits: ['1000/1h'] },
        },
      ],
    };
    await write(document);
    const log = createLogger('info', () => {});
    const running = await startGateway({ configFile: 'gatehouse.yaml', cwd: folder, env: {}, log, writeLog: () => {} });
    scope.after(() => running.stop({ timeoutMs: 500 }));
    gateway = {
      primary: running.primary,
      url: `http://127.0.0.1:${running.addresses[0]!.port}`,
      reload: () => running.reload(),
    };
    const found = gateway.primary.opsSources().features.find(({ sections }) => sections?.['admin'] !== undefined);
    origin = (found!.sections!['admin'] as { url: string }).url;
    browser = await startChromium();
    page = await browser.newPage({ viewport: { width: 1200, height: 900 } });
    page.setDefaultTimeout(120_000);
    // A click by Enter in a form is none: somebody typed.
    await page.addInitScript(
      "addEventListener('click', ({ detail }) => { if (detail > 0) window.clicks = (window.clicks ?? 0) + 1; }, true)",
    );
    page.on('pageerror', (error) => wrong.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') wrong.push(message.text());
    });
    await page.goto(await link('admin'));
    await page.waitForSelector('nav');
  });

  after(async () => {
    await browser?.close();
    for (const end of ends) await end();
  });

  it('signs in by the link, which is gone from the address', async () => {
    assert.equal(new URL(page.url()).hash, '#/');
    await page.waitForSelector('h1:has-text("gatehouse: healthy")');
  });

  it('shows what routes promise, and how much of it may still be missed', async () => {
    const row = (promise: string) =>
      page.waitForSelector(`[aria-label="Objectives with their error budgets"] tr:has-text("${promise}")`);
    const text = await (await row('99.9 % succeed')).innerText();
    assert.match(text, /^notes\s+99\.9 % succeed\s+100\s+0\s+0 of \d+\s+kept$/);
    await row('99 % within 2,000 ms');
  });

  it('says where the pages of all APIs are, and the links lead there', async () => {
    await open('API pages');
    const link = await page.waitForSelector('a:has-text("/docs")');
    const href = (await link.getAttribute('href')) ?? '';
    assert.ok(href.startsWith(gateway.url), href);
    const response = await fetch(href);
    assert.deepEqual([response.status, response.headers.get('content-type')?.split(';')[0]], [200, 'text/html']);
    assert.equal((await fetch(`${gateway.url}/openapi.json`)).status, 200);
    await page.waitForSelector('td:has-text("/openapi.yaml")');
  });

  it('says which route takes a request, sends it, and shows phases and times', async () => {
    await open('Routes');
    await page.fill('input[name=url]', '/api/notes/7');
    await page.click('button:has-text("Explain")');
    await page.waitForSelector('strong:has-text("notes")');
    await page.click('button:text-is("Send")');
    await page.waitForSelector('dd:text-is("200")');
    const steps = await page.waitForSelector('[aria-label="Steps on its way"]');
    const lines = (await steps.innerText()).split('\n').slice(1);
    for (const line of ['route notes', 'authenticate rate-limit', 'upstreamHead notes@127', 'responseBody the gateway'])
      assert.ok(
        lines.some((each) => each.startsWith(line) && /\t[\d.]+\t[\d.]+$/.test(each)),
        `${line} in ${lines.join('; ')}`,
      );
    await page.waitForSelector('pre:has-text("ok <img")');
    await brokenBy('fields and body of a response');
    await page.waitForSelector('p:has-text("notes answered from http://127.0.0.1")');
    assert.match(new URL(page.url()).hash, /^#\/routes\?method=GET&url=%2Fapi%2Fnotes%2F7$/);
    await checkLook(page, 'console-try-request');
  });

  it('shows what is left of a caller’s limits, and forgets what was counted in two clicks', async () => {
    const left = (count: number) => page.waitForSelector(`td:has-text("${count}")`, { timeout: 60_000 });
    await (await fetch(`${gateway.url}/api/notes/limited`)).text();
    await open('Limits');
    await page.fill('input[name=address]', '127.0.0.1');
    await page.fill('input[name=route]', 'notes');
    await page.click('button:text-is("Look up")');
    await page.waitForSelector('td:text-is("1000/1h")');
    await page.waitForSelector('td:has-text("all of it again in")');
    assert.equal(new URL(page.url()).hash, '#/limits?address=127.0.0.1&route=notes');
    await checkLook(page, 'console-limits-of-a-caller');
    await page.click('button:text-is("Forget what was counted")');
    await page.fill('dialog input[name=reason]', HOSTILE);
    await page.click('dialog button.main');
    await page.waitForSelector('[role=status]:has-text("forgotten")');
    await left(1_000);
    await page.waitForSelector('td:text-is("unused")');
  });

  it('lists the nodes of the cluster, drains one and uses it again', async () => {
    await open('Cluster');
    await page.waitForSelector('td:has-text("gateway-1 (queen)")', { timeout: 60_000 });
    await page.click('button:text-is("Drain")');
    await page.fill('dialog input[name=reason]', HOSTILE);
    await page.click('dialog button.main');
    await page.waitForSelector('td:has-text("draining: <img")');
    await checkLook(page, 'console-cluster-drained');
    await page.click('button:text-is("Use again")');
    await page.fill('dialog input[name=reason]', 'done');
    await page.click('dialog button.main');
    await page.waitForSelector('td:has-text("active")');
    assert.equal(await page.evaluate('window.broken'), undefined);
  });

  it('drains an instance with a reason, in three clicks, and takes it back in one', async () => {
    await open('Services');
    const asking = setInterval(() => void fetch(`${gateway.url}/api/notes/balance`).then((each) => each.text()), 100);
    // All of what was asked since the last reading went to the one instance.
    await page.waitForSelector('td:text-is("100")').finally(() => clearInterval(asking));
    await page.click('button:has-text("Drain")');
    await page.fill('dialog input[name=reason]', HOSTILE);
    await page.click('dialog button.main');
    await page.waitForSelector('td:has-text("drained")');
    const [override] = gateway.primary.overrides.list();
    assert.deepEqual([override?.kind, override?.owner, override?.reason], ['drain', `token:${HOSTILE}`, HOSTILE]);
    await open('Overview');
    await page.waitForSelector(`li:has-text(${JSON.stringify('<img src=x')})`);
    await open('Services');
    await page.click('button:has-text("Take traffic again")');
    await page.waitForSelector('td:has-text("up")');
  });

  it('shows events with names that clients chose, and runs none of them', async () => {
    await open('Events');
    await page.waitForSelector(`td:has-text(${JSON.stringify('<img src=x')})`);
    assert.equal(await page.evaluate('window.broken'), undefined);
  });

  it('shows requests as they end, filtered, with names that clients chose, and runs none of them', async () => {
    await open('Requests');
    await page.selectOption('select[name=status]', 'errors');
    await page.click('button:has-text("Watch")');
    assert.equal(new URL(page.url()).hash, '#/requests?status=errors');
    await page.waitForSelector('text=Watching.');
    const ask = (path: string) => fetch(gateway.url + path, { headers: { 'user-agent': HOSTILE } });
    const row = page.locator('td button:has-text("GET /nowhere")').first();
    await page.fill('input[name=text]', 'half a word');
    const giveUpMs = performance.now() + 60_000;
    while ((await row.count()) === 0) {
      assert.ok(performance.now() < giveUpMs, 'no request was shown');
      await Promise.all([ask('/nowhere'), ask('/api/notes/1')]);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.equal(await page.locator('td button:has-text("/api/notes/1")').count(), 0, 'a request of no error');
    assert.equal(await page.inputValue('input[name=text]'), 'half a word', 'what is typed stays when requests come');
    await page.click('button:has-text("Pause")');
    await row.press('Enter');
    await page.waitForSelector(`dd:has-text(${JSON.stringify('<img src=x')})`);
    assert.equal(await page.evaluate('window.broken'), undefined);
  });

  it('bans an address, shows it with who did it and why, and lifts it', async () => {
    await open('Bans');
    await page.waitForSelector('text=Nobody is banned.');
    await page.fill('input[name=subject]', '203.0.113.7');
    await page.fill('input[name=reason]', HOSTILE);
    await page.click('button:has-text("Ban")');
    await page.waitForSelector('td:has-text("203.0.113.7")');
    await page.waitForSelector(`td:has-text(${JSON.stringify('<img src=x')})`);
    assert.equal(await page.evaluate('window.broken'), undefined);
    await page.fill('input[name=subject]', 'not an address');
    await page.click('button:has-text("Ban")');
    await page.waitForSelector('[role=alert]:has-text("subject")');
    await page.click('button:has-text("Lift")');
    await page.waitForSelector('text=Nobody is banned.');
  });

  it('shows what the cache holds, and purges it', async () => {
    const get = () => fetch(`${gateway.url}/api/notes/stored`).then((response) => response.text());
    await get();
    await get();
    await open('Cache');
    await page.waitForSelector('td:has-text("/api/notes/stored")', { timeout: 60_000 });
    await page.selectOption('form select', 'all');
    await page.click('button:has-text("Purge")');
    await page.waitForSelector('text=The cache is empty.');
    await page.waitForSelector('text=Nothing is stored.');
  });

  it('finds an account, gives it another plan, blocks it and lets it in again', async () => {
    await fetch(`${origin}/api/features/identity/users`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
      body: JSON.stringify({ kind: 'service', username: 'robot', displayName: HOSTILE }),
    });
    await open('Accounts');
    await page.fill('input[name=q]', 'rob');
    await page.click('button:has-text("Search")');
    await page.click('td button:has-text("robot")');
    await page.waitForSelector('h1:has-text("robot")');
    await page.fill('input[name=plan]', 'gold');
    await page.click('button:has-text("Set plan")');
    await page.waitForSelector('[role=status]:has-text("The plan is gold.")');
    await page.click('button:has-text("Block")');
    await page.waitForSelector('dd:has-text("disabled")');
    await page.click('button:has-text("Let in again")');
    await page.waitForSelector('dd:has-text("active")');
    assert.equal(await page.evaluate('window.broken'), undefined);
    await page.click('button:has-text("All accounts")');
    await page.waitForSelector('td button:has-text("robot")');
  });

  for (const name of PAGES)
    it(`is accessible, and fits 360 pixels, light and dark: ${name}`, async () => {
      await open(name);
      await checkLook(page, `console-${name.toLowerCase()}`);
      await brokenBy(name);
    });

  it('each task of an operator costs no more clicks than it may', async () => {
    await open('Events');
    await task('is it healthy, and why not', async () => {
      await open('Overview');
      await page.waitForSelector('h2:text-is("What is wrong now")');
    });
    await task('which route takes this request', async () => {
      await open('Routes');
      await page.fill('input[name=url]', '/api/notes/8');
      await page.click('button:text-is("Explain")');
      await page.waitForSelector('strong:has-text("notes")');
    });
    await open('Overview');
    await task('what happens to it', async () => {
      await open('Routes');
      await page.fill('input[name=url]', '/api/notes/8');
      await page.click('button:text-is("Send")');
      await page.waitForSelector('dd:text-is("200")');
    });
    await task('who is limited', async () => {
      await open('Limits');
      await page.fill('input[name=address]', '127.0.0.1');
      await page.click('button:text-is("Look up")');
      await page.waitForSelector('td:text-is("1000/1h")');
    });
    await open('Overview');
    await task('forget what was counted', async () => {
      await open('Limits');
      await page.fill('input[name=address]', '127.0.0.1');
      await page.click('button:text-is("Look up")');
      await page.click('button:text-is("Forget what was counted")');
      await page.fill('dialog input[name=reason]', 'case 7');
      await page.click('dialog button.main');
      await page.waitForSelector('[role=status]:has-text("forgotten")');
    });
    await task('who is banned', async () => {
      await open('Bans');
      await page.waitForSelector('text=Nobody is banned.');
    });
    await open('Overview');
    await task('ban an address', async () => {
      await open('Bans');
      await page.fill('input[name=subject]', '203.0.113.8');
      await page.click('button:has-text("Ban")');
      await page.waitForSelector('td:has-text("203.0.113.8")');
    });
    await task('drain an instance', async () => {
      await open('Services');
      await page.click('button:has-text("Drain")');
      await page.fill('dialog input[name=reason]', 'release');
      await page.click('dialog button.main');
      await page.waitForSelector('td:has-text("drained")');
    });
    await page.click('button:has-text("Take traffic again")');
    await open('Overview');
    await task('force a breaker', async () => {
      await open('Services');
      await page.click('button:has-text("Open breaker")');
      await page.fill('dialog input[name=reason]', 'database moves');
      await page.click('dialog button.main');
      await page.waitForSelector('p:has-text("breaker open")');
    });
    await page.click('button:text-is("Reset breaker")');
    await open('Overview');
    await task('add an instance', async () => {
      await open('Services');
      await page.click('button:text-is("Add instance")');
      await page.fill('dialog input[name=url]', 'http://127.0.0.1:9');
      await page.fill('dialog input[name=reason]', HOSTILE);
      await page.click('dialog button.main');
      await page.waitForSelector('td:has-text("http://127.0.0.1:9")');
      await page.waitForSelector(`td:has-text(${JSON.stringify(`added by token:${HOSTILE}`)})`);
    });
    await checkLook(page, 'console-instance-added');
    await open('Overview');
    await task('take an instance out', async () => {
      await open('Services');
      await page.click('button:text-is("Take out")');
      await page.fill('dialog input[name=reason]', HOSTILE);
      await page.click('dialog button.main');
      await page.waitForSelector('p:has-text("is taken out by")');
    });
    await checkLook(page, 'console-instance-removed');
    await open('Overview');
    await task('put it back', async () => {
      await open('Services');
      await page.click('button:text-is("Put back")');
      await page.waitForSelector('p:has-text("is taken out by")', { state: 'detached' });
    });
    await page.click('button:text-is("Remove")');
    await page.waitForSelector('td:has-text("http://127.0.0.1:9")', { state: 'detached' });
    await brokenBy('the reason of an instance');
    await task('find one request by its id', async () => {
      await open('Requests');
      await page.fill('input[name=text]', 'wanted-request-7');
      await page.click('button:has-text("Watch")');
      await page.waitForSelector('text=Watching.');
      const row = page.locator('td button:has-text("/api/notes/found")').first();
      const giveUpMs = performance.now() + 60_000;
      while ((await row.count()) === 0) {
        assert.ok(performance.now() < giveUpMs, 'it was not found');
        await fetch(`${gateway.url}/api/notes/other`).then((response) => response.text());
        const headers = { 'x-request-id': 'wanted-request-7' };
        await fetch(`${gateway.url}/api/notes/found`, { headers }).then((response) => response.text());
      }
      assert.equal(await page.locator('td button:has-text("/api/notes/other")').count(), 0);
    });
    const made = await fetch(`${gateway.url}/api/auth/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ email: 'kim@example.com', username: 'kim', password: 'ancient walrus paints 9 fences' }),
    }).then((response) => response.json() as Promise<{ accessToken: string }>);
    await fetch(`${gateway.url}/api/auth/keys`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${made.accessToken}` },
      body: JSON.stringify({ name: HOSTILE }),
    }).then((response) => assert.equal(response.status, 201));
    const openAccount = async (): Promise<void> => {
      await open('Accounts');
      await page.fill('input[name=q]', 'kim');
      await page.click('button:has-text("Search")');
      await page.click('td button:has-text("kim")');
    };
    await open('Overview');
    await task('make a key', async () => {
      await openAccount();
      await page.fill('input[name=name]', `ci ${HOSTILE}`);
      await page.click('button:text-is("Make a key")');
      await page.waitForSelector('pre:has-text("ghk_")');
    });
    await checkLook(page, 'console-account');
    await page.click('button:text-is("I have it")');
    await page.waitForSelector('pre:has-text("ghk_")', { state: 'detached' });
    await page.click(`button[aria-label=${JSON.stringify(`Revoke the key ci ${HOSTILE}`)}]`);
    await page.waitForSelector('[role=status]:has-text("The key is revoked.")');
    await open('Overview');
    await task('rotate a key', async () => {
      await openAccount();
      // The last click is that of the dialog, whose first choice ends the old key at once.
      await page.click('button:text-is("Rotate")');
      await page.click('dialog button.main');
      await page.waitForSelector('pre:has-text("ghk_")');
    });
    await open('Overview');
    await task('end a session', async () => {
      await openAccount();
      await page.click('button:text-is("End")');
      await page.waitForSelector('text=No user is signed in.');
    });
    await open('Overview');
    await task('revoke a key', async () => {
      await open('Accounts');
      await page.fill('input[name=q]', 'kim');
      await page.click('button:has-text("Search")');
      await page.click('td button:has-text("kim")');
      await page.click('button:text-is("Revoke")');
      await page.waitForSelector('[role=status]:has-text("The key is revoked.")');
    });
    await brokenBy('the name of a key');
    await version('one');
    await version('two');
    await open('Overview');
    await task('what changed, and by whom', async () => {
      await open('Changes');
      await page.waitForSelector('td:has-text("(live)")');
    });
    await open('Overview');
    await task('undo it', async () => {
      await open('Changes');
      await page.click('button:text-is("Compare") >> nth=0');
      await page.click('button:has-text("Go back to revision")');
      await page.waitForSelector('[role=status]:has-text("is live.")');
    });
    await task('which node is the queen', async () => {
      await open('Cluster');
      await page.waitForSelector('td:has-text("(queen)")');
    });
    assert.deepEqual([...done].sort(), Object.keys(MOST_CLICKS).sort(), 'every task was done');
  });

  it('an edit that somebody else was faster with is refused, and what they wrote stays', async () => {
    await open('Changes');
    await page.click('button:text-is("Read the text")');
    const text = await page.inputValue('textarea');
    await version('by somebody else');
    const theirs = await readFile(join(folder, 'gatehouse.yaml'), 'utf8');
    assert.notEqual(theirs, text);
    await page.fill('textarea', `${text}\n`);
    await page.click('button:text-is("Apply")');
    await page.waitForSelector('[role=alert]:has-text("the configuration was changed meanwhile")');
    assert.equal(await readFile(join(folder, 'gatehouse.yaml'), 'utf8'), theirs);
    assert.equal(await page.inputValue('textarea'), `${text}\n`, 'what was typed is not lost either');
    await page.click('button:text-is("Read again")');
    const giveUpMs = performance.now() + 60_000;
    while (!(await page.inputValue('textarea')).includes('by somebody else'))
      assert.ok(performance.now() < giveUpMs, 'the text is read again');
    await page.click('button:text-is("Apply")');
    await page.waitForSelector('[role=status]:has-text("Written and live.")');
  });

  it('loads less than 200 KB, nothing from elsewhere, and no page may frame it', async () => {
    const response = await fetch(`${origin}/console/`);
    assert.match(response.headers.get('content-security-policy') ?? '', /default-src 'none'.*frame-ancestors 'none'/);
    const loaded = (await page.evaluate(
      'performance.getEntriesByType("resource").map(({ name, decodedBodySize }) => [name, decodedBodySize])',
    )) as [string, number][];
    assert.deepEqual(
      loaded.filter(([name]) => !name.startsWith(origin)),
      [],
    );
    const names = loaded.map(([name]) => name).filter((name) => name.includes('/console/') && !name.includes('/api/'));
    let packed = 0;
    for (const name of new Set([`${origin}/console/`, ...names])) {
      const file = await fetch(name, { headers: { 'accept-encoding': 'gzip' } });
      assert.equal(file.headers.get('content-encoding'), 'gzip', name);
      const plain = await fetch(name, { headers: { 'accept-encoding': 'identity' } });
      assert.equal(plain.headers.get('content-encoding'), null, name);
      const text = await plain.text();
      assert.equal(await file.text(), text, name);
      packed += gzipSync(text).length;
    }
    assert.ok(names.length > 20 && packed < 200_000, `${packed} bytes of ${names.length} files`);
    for (const name of ['../../package.json', 'vendor/../app.js%00', 'none.js'])
      assert.notEqual((await fetch(`${origin}/console/${name}`)).status, 200, name);
  });

  it('keeps buttons from viewers, and says so when nobody is signed in', async () => {
    await page.click('button:has-text("Sign out")');
    await page.waitForSelector('h2:text-is("Sign in with your account")');
    await page.goto(await link('viewer'));
    await page.reload();
    await page.goto(await link('viewer'));
    await page.waitForSelector('nav');
    await open('Services');
    await page.waitForSelector('td:has-text("up")');
    assert.equal(await page.locator('button:has-text("Drain")').count(), 0);
    // A refusal of the browser's own (401 while nobody is signed in, 400 for a ban of no address) is logged by it as an
    // error.
    assert.deepEqual(
      wrong.filter((text) => !/status of (400|401|412) /.test(text)),
      [],
    );
  });
});
