import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createLogger } from '../../../base/log.ts';
import { mailFile } from './mail-file.ts';
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

test('a mail that becomes a file has its text as it is, its HTML beside it, and other alphabets in its head', () => {
  const subject =
    'Höfe & Gärten: Bestätigen Sie Ihre Adresse – ganz in Ruhe und mit vielen Wörtern 🎈🎈🎈🎈🎈🎈🎈🎈🎈🎈';
  const mail = { to: 'ada@example.com', subject, text: 'Grüße: ä', html: '<p>Grüße</p>', language: 'de' };
  const file = mailFile(mail, 'Höfe <no-reply@example.com>', new Date(0));
  const [head = '', ...rest] = file.split('\r\n\r\n');
  assert.match(head, /^[\x20-\x7e\r\n]*$/, 'no character of a head is beyond ASCII (RFC 5322 §2.2)');
  for (const line of head.split('\r\n')) assert.ok(line.length <= 100, line);
  const said = /^Subject: (.*(?:\r\n .*)*)/m.exec(head)?.[1] ?? '';
  const words = [...said.matchAll(/=\?UTF-8\?B\?([^?]*)\?=/g)].map(([, word = '']) => Buffer.from(word, 'base64'));
  for (const word of words) assert.ok(!word.toString().includes('\ufffd'), 'no character is cut');
  assert.equal(Buffer.concat(words).toString(), subject);
  assert.match(head, /^From: =\?UTF-8\?B\?[^?]*\?= <no-reply@example.com>\r$/m);
  assert.match(head, /^Content-Language: de\r$/m);
  assert.match(head, /^Auto-Submitted: auto-generated\r$/m);
  const boundary = /boundary="([^"]+)"/.exec(head)?.[1] ?? '';
  const parts = rest.join('\r\n\r\n').split(`--${boundary}`);
  assert.equal(parts.length, 4);
  const [, plainPart = '', htmlPart = ''] = parts;
  assert.ok(plainPart.includes('text/plain; charset=utf-8') && plainPart.endsWith('\r\n\r\nGrüße: ä\r\n'), plainPart);
  assert.ok(htmlPart.includes('text/html; charset=utf-8') && htmlPart.endsWith('\r\n\r\n<p>Grüße</p>\r\n'), htmlPart);
  assert.equal(parts[3], '--\r\n');
  const plain = mailFile({ to: 'a@example.com', subject: 'x', text: 'y' }, 'a@example.com', new Date(0));
  assert.ok(plain.includes('Content-Type: text/plain; charset=utf-8') && plain.endsWith('\r\n\r\ny\r\n'), plain);
});

for (const field of ['to', 'subject', 'language'] as const)
  test(`a line feed in ${field} is refused, not written`, () => {
    const mail = {
      to: 'ada@example.com',
      subject: 'x',
      text: '',
      language: 'de',
      [field]: 'x\r\nBcc: eve@example.com',
    };
    assert.throws(() => mailFile(mail, 'g@example.com', new Date(0)), TypeError);
  });
