/**
 * Chromium for the tests of pages that people see: how it starts, and what every page is held against: axe's rules
 * without a violation, and no sideways scrolling, in light and dark, wide and at 360 pixels. Screenshots of each go to
 * `artifacts/screens` (ignored by git), or where GATEHOUSE_SCREENS says, for whoever wants to look.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'];
const PLACE = process.env['GATEHOUSE_SCREENS'] ?? fileURLToPath(new URL('../../artifacts/screens', import.meta.url));
export const SCREENS = `${PLACE}/`;

export async function startChromium(): Promise<Browser> {
  mkdirSync(SCREENS, { recursive: true });
  return await chromium.launch({ executablePath: '/usr/bin/chromium', args: FLAGS });
}

const LOOKS = [
  { name: 'light', colorScheme: 'light', width: 1200 },
  { name: 'dark', colorScheme: 'dark', width: 1200 },
  { name: '360', colorScheme: 'light', width: 360 },
] as const;

/** Takes the page's screenshots and throws where a rule is broken. Afterwards the page is wide and light again. */
export async function checkLook(page: Page, name: string): Promise<void> {
  for (const look of LOOKS) {
    await page.emulateMedia({ colorScheme: look.colorScheme });
    await page.setViewportSize({ width: look.width, height: 900 });
    // Colours are what the two schemes differ in; the narrow one differs in its layout.
    if (look.width > 360) {
      await page.evaluate(AXE);
      const found = (await page.evaluate(
        'axe.run().then(({ violations }) => violations.map(({ id, nodes }) => id + ": " + nodes[0].html))',
      )) as string[];
      assert.deepEqual(found, [], `${name}, ${look.name}`);
    }
    const isWide = await page.evaluate('document.documentElement.scrollWidth > innerWidth');
    assert.equal(isWide, false, `${name} scrolls sideways at ${look.width} pixels`);
    await page.screenshot({ path: `${SCREENS}${name}-${look.name}.png`, fullPage: true });
  }
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize({ width: 1200, height: 900 });
}
