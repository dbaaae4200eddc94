/**
 * The pages `/docs` and `/redoc` in a real browser: whole, with nothing from elsewhere, a call made from the page, no
 * script of others.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { httpUpstream } from '../support/upstream.ts';
import { SCREENS, startChromium } from './chromium.ts';

const HOSTILE = '<img src=x onerror="window.broken=1"><script>window.broken=2</script>';
const KEY = 'the-key-of-an-administrator';

describe('API pages in Chromium', () => {
  let gateway: TestGateway;
  let browser: Browser;
  let page: Page;
  let folder: string;
  const wrong: string[] = [];
  const asked: string[] = [];
  const ends: (() => unknown)[] = [];
  const scope = { after: (end: () => unknown) => void ends.unshift(end) };

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gh-pages-'));
    const description = {
      openapi: '3.1.0',
      info: { title: 'pets', version: '1' },
      paths: {
        '/pets/{id}': {
          get: {
            operationId: 'showPet',
            summary: 'Shows a pet',
            description: HOSTILE,
            parameters: [{ name: 'id', in: 'path', required: true, schema: { type: 'string' } }],
            responses: {
              200: { description: `ok ${HOSTILE}`, content: { 'application/json': { schema: { type: 'object' } } } },
            },
          },
        },
      },
    };
    await writeFile(join(folder, 'pets.json'), JSON.stringify(description));
    const upstream = await httpUpstream(scope as never, (request, response) => {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ pet: request.url }));
    });
    gateway = await startTestGateway(scope as never, {
      gateway: { auth: { apiKey: { keys: [{ key: KEY, subject: 'root', roles: ['admin'] }] } } },
      openapi: { title: 'All pets', services: { pets: { file: join(folder, 'pets.json') } } },
      services: { pets: { instances: [{ url: upstream.url }] } },
      routes: [{ match: { path: '/api/*' }, service: 'pets', auth: 'public', rewrite: { stripPrefix: '/api' } }],
    });
    browser = await startChromium();
    page = await browser.newPage({ viewport: { width: 1200, height: 900 } });
    page.setDefaultTimeout(60_000);
    page.on('pageerror', (error) => wrong.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') wrong.push(message.text());
    });
    page.on('request', (request) => asked.push(request.url()));
  });

  after(async () => {
    await browser?.close();
    for (const end of ends) await end();
    await rm(folder, { recursive: true, force: true });
  });

  /** Nothing went wrong but what the policy of the page refused, as it should: markup of the description. */
  const isClean = async (): Promise<void> => {
    assert.deepEqual(
      wrong.splice(0).filter((text) => !text.includes('Content Security Policy directive') && !text.includes('404')),
      [],
    );
    assert.deepEqual(
      asked.filter((url) => !url.startsWith(gateway.url) && !url.startsWith('data:')),
      [],
    );
    assert.equal(await page.evaluate('window.broken'), undefined);
  };

  it('Swagger UI makes a call through the gateway and shows the response', async () => {
    await page.goto(`${gateway.url}/docs`);
    await page.click('#operations-pets-showPet .opblock-summary-control');
    await page.click('button:has-text("Try it out")');
    await page.fill('input[placeholder="id"]', '7');
    await page.click('button.execute');
    await page.waitForSelector('.live-responses-table:has-text("/pets/7")');
    await isClean();
    await page.screenshot({ path: `${SCREENS}api-docs.png`, fullPage: true });
  });

  it('says so when a document needs a token', async () => {
    await page.selectOption('select[name=audience]', 'admin');
    await page.click('#which button');
    await page.waitForSelector('output:has-text("this needs a token")');
    // The browser's own word about the 401.
    assert.ok(wrong.splice(0).some((text) => text.includes('401')));
  });

  it('Redoc shows the operation, and markup of a description does nothing', async () => {
    await page.goto(`${gateway.url}/redoc`);
    await page.waitForSelector('h2:has-text("Shows a pet")');
    await page.waitForSelector('h1:has-text("All pets")');
    await isClean();
    await page.screenshot({ path: `${SCREENS}api-redoc.png`, fullPage: true });
  });

  it('serves only its own files, under a policy that lets no other script in', async () => {
    const response = await fetch(`${gateway.url}/docs`);
    const policy = response.headers.get('content-security-policy') ?? '';
    assert.match(policy, /default-src 'none'; script-src 'self'; style-src 'self';/);
    for (const name of ['../package.json', '%2e%2e/package.json', 'redoc.js', 'toString', 'none.js'])
      assert.notEqual((await fetch(`${gateway.url}/docs/${name}`)).status, 200, name);
  });
});
