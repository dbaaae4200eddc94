/** The example in a real browser: an account, a note, a WebSocket, and another site's page that gets nothing done. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import { parse } from 'yaml';
import { startTestGateway } from '../../test/support/gateway.ts';
import { freePorts } from '../../test/support/ports.ts';
import { until } from '../../test/support/until.ts';

const SERVICE = fileURLToPath(new URL('services/app.ts', import.meta.url));
const QUIET = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'];

describe('the browser application in Chromium', () => {
  const ends: (() => unknown)[] = [];
  const scope = { after: (end: () => unknown) => void ends.unshift(end) };
  let browser: Browser;
  let origin: string;
  let stranger: string;
  const reached: string[] = [];

  before(async () => {
    const [appPort, gatewayPort] = (await freePorts(2)) as [number, number];
    const app = spawn(process.execPath, [SERVICE], { env: { ...process.env, PORT: String(appPort) }, stdio: 'ignore' });
    const ended = new Promise((resolve) => app.once('exit', resolve));
    scope.after(() => {
      app.kill('SIGKILL');
      return ended;
    });
    const written = await readFile(new URL('gatehouse.yaml', import.meta.url), 'utf8');
    const document = parse(
      written.replaceAll('${GATEWAY_PORT:-8000}', `${gatewayPort}`).replaceAll('${APP_PORT:-4001}', `${appPort}`),
    ) as Parameters<typeof startTestGateway>[1];
    await startTestGateway(scope as never, {
      ...document,
      identity: { ...(document['identity'] as object), passwords: { memory: '8mb', passes: 1 } },
    });
    origin = `http://localhost:${gatewayPort}`;
    // A page of another site: it may try whatever a page may.
    const other = createServer((request, response) => {
      reached.push(request.url ?? '');
      response.setHeader('content-type', 'text/html').end('<!doctype html><title>elsewhere</title>');
    });
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    scope.after(() => other.close());
    stranger = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
    browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: QUIET });
    await serving(`${origin}/`);
  });
  after(async () => {
    await browser?.close();
    for (const end of ends) await end();
  });

  async function signedIn(name: string): Promise<Page> {
    const page = await (await browser.newContext()).newPage();
    await page.goto(`${origin}/`);
    await page.waitForSelector('#status:has-text("not signed in")');
    await page.fill('[name=username]', name);
    await page.fill('[name=email]', `${name}@example.com`);
    await page.fill('[name=password]', 'ancient walrus paints 9 fences');
    await page.click('[name=register]');
    await page.waitForSelector(`#status:has-text("signed in as ${name}")`);
    return page;
  }

  it('signs in, writes, and sees over WebSocket what another one writes', async () => {
    const [ann, bob] = [await signedIn('annika'), await signedIn('bobbyx')];
    await ann.fill('[name=text]', 'hello from ann');
    await ann.click('#write >> text=Write');
    await bob.waitForSelector('li:has-text("hello from ann")');
    // The session survives a reload of the page, and no script can read it.
    await ann.reload();
    await ann.waitForSelector('#status:has-text("signed in as annika")');
    assert.equal(await ann.evaluate('document.cookie'), '');
    await ann.click('#sign-out');
    await ann.waitForSelector('#status:has-text("signed out")');
    await ann.reload();
    await ann.waitForSelector('#status:has-text("not signed in")');
  });

  it('goes on when the access token has ended', async () => {
    const page = await signedIn('carlos');
    const context = page.context();
    await context.clearCookies({ name: 'gh_access' });
    await page.fill('[name=text]', 'after the end');
    await page.click('#write >> text=Write');
    await page.waitForSelector('li:has-text("after the end")');
  });

  it('a page of another site changes nothing and opens no WebSocket with the visitor’s session', async () => {
    const page = await signedIn('dorothy');
    const elsewhere = await page.context().newPage();
    await elsewhere.goto(stranger);
    const outcome = await elsewhere.evaluate(async (target) => {
      const tried: Record<string, string> = {};
      const post = (path: string, init: RequestInit) =>
        fetch(`${target}${path}`, { method: 'POST', credentials: 'include', ...init }).then(
          (response) => `status ${response.status}`,
          () => 'refused',
        );
      tried['form'] = await post('/api/notes', { mode: 'no-cors', body: '{"text":"forged"}' });
      tried['json'] = await post('/api/notes', {
        headers: { 'Content-Type': 'application/json' },
        body: '{"text":"forged"}',
      });
      tried['logout'] = await post('/api/auth/browser/logout', { mode: 'no-cors' });
      tried['socket'] = await new Promise((resolve) => {
        const socket = new WebSocket(`${target.replace('http', 'ws')}/live`);
        socket.onopen = () => resolve('open');
        socket.onerror = () => resolve('refused');
      });
      return tried;
    }, origin);
    assert.equal(outcome['json'], 'refused');
    assert.equal(outcome['socket'], 'refused');
    // A form is sent and its answer hidden; that nothing came of it shows at the service, and the session is still
    // there.
    const notes = await page.evaluate("fetch('/api/notes').then((r) => r.text())");
    assert.doesNotMatch(String(notes), /forged/);
    await page.reload();
    await page.waitForSelector('#status:has-text("signed in as dorothy")');
    assert.ok(reached.length > 0);
  });
});

async function serving(url: string): Promise<void> {
  let isUp = false;
  const ask = (): void => {
    fetch(url).then(
      (response) => {
        if (response.ok) isUp = true;
        else setTimeout(ask, 50);
      },
      () => setTimeout(ask, 50),
    );
  };
  ask();
  await until(() => isUp, `${url} is served`, 60_000);
}
