/**
 * What people see of StoryVerse, in a browser: the public documentation, and the pages behind the links of its mails.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkLook, startChromium } from '../../test/console/chromium.ts';
import { openApi } from './services/openapi.ts';
import { startStoryVerse } from './testing.ts';

test('pages of StoryVerse: the documentation and those of accounts open in a browser', async (t) => {
  const { url } = await startStoryVerse(t);
  const browser = await startChromium();
  t.after(() => browser.close());
  const page = await browser.newPage();
  page.setDefaultTimeout(60_000);
  const wrong: string[] = [];
  page.on('pageerror', (error) => wrong.push(error.message));
  page.on('request', (request) => {
    if (!request.url().startsWith(url) && !request.url().startsWith('data:')) wrong.push(request.url());
  });

  await page.goto(`${url}/docs`);
  const text = (await page.textContent('body'))!;
  for (const path of Object.keys(openApi.paths)) assert.ok(text.includes(path), path);
  await checkLook(page, 'storyverse-docs');

  await page.goto(`${url}/api/auth/pages/forgot-password`);
  await page.waitForSelector('form input[type=email], form input[name=email]');
  await checkLook(page, 'storyverse-forgot-password');
  assert.deepEqual(wrong, [], 'no script fails, and nothing is fetched from elsewhere');
});
