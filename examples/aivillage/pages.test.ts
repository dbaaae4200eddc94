/** What people see of AIVillage, in a browser: `/docs` and `/redoc`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SCREENS, startChromium } from '../../test/console/chromium.ts';
import { startAiVillage } from './testing.ts';

test('pages of AIVillage: /docs and /redoc open in a browser and show every operation', async (t) => {
  const village = await startAiVillage(t);
  const { url } = village;
  const browser = await startChromium();
  t.after(() => browser.close());
  const page = await browser.newPage({ viewport: { width: 1200, height: 900 } });
  page.setDefaultTimeout(60_000);
  const wrong: string[] = [];
  page.on('pageerror', (error) => wrong.push(error.message));
  page.on('request', (request) => {
    if (!/^(data|blob):/.test(request.url()) && !request.url().startsWith(url)) wrong.push(request.url());
  });

  await page.goto(`${url}/docs`);
  await page.waitForSelector('.opblock');
  const operations = await page.locator('.opblock').count();
  assert.ok(operations >= 10, `${operations} operations`);
  const shown = (await page.textContent('.swagger-ui'))!.replaceAll('\u200B', '');
  for (const path of ['/v1/models', '/v1/chat', '/v1/query', '/v1/upload', '/v1/p2p/status', '/v1/fog/nodes'])
    assert.ok(shown.includes(path), path);
  await page.screenshot({ path: `${SCREENS}aivillage-docs.png`, fullPage: true });

  await page.goto(`${url}/redoc`);
  await page.waitForSelector('h1');
  await page.waitForSelector('text="/v1/models"');
  await page.screenshot({ path: `${SCREENS}aivillage-redoc.png` });
  assert.deepEqual(wrong, [], 'no script fails, and nothing is fetched from elsewhere');
});
