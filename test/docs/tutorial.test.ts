/** docs/tutorial.md from a checkout; test/package has it from the package and the single executable. */
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { followTutorial } from '../support/tutorial.ts';

const COMMAND = fileURLToPath(new URL('../../tools/gatehouse.ts', import.meta.url));

test('the tutorial does what it says', { timeout: 280_000 }, async (t) => {
  const tookMs = await followTutorial(t, `'${process.execPath}' --no-warnings '${COMMAND}'`);
  t.diagnostic(`from a checkout it takes ${(tookMs / 1_000).toFixed(1)} s`);
});
