import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createLogger } from '../../../base/log.ts';
import { makeMailer } from './mailer.ts';

test('mails that become files sort in the order in which they were sent, also within a millisecond', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-mails-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const mailer = await makeMailer({ from: 'gatehouse@example.com' } as never, folder, createLogger('silent'));
  // At one moment, so that the names differ in nothing else that has an order.
  t.mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 });
  const subjects = Array.from({ length: 20 }, (_, i) => `mail ${i}`);
  for (const subject of subjects) await mailer.send({ to: 'ada@example.com', subject, text: '' });
  const found = readdirSync(folder)
    .sort()
    .map((name) => /^Subject: (.*)\r$/m.exec(readFileSync(join(folder, name), 'utf8'))?.[1]);
  assert.deepEqual(found, subjects);
});
