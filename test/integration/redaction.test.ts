/** What `redact.patterns` hide is hidden wherever a request is shown: log, live tail, security events and traces. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { httpCollector } from '../support/otlp-collector.ts';
import { until } from '../support/until.ts';
import { httpUpstream } from '../support/upstream.ts';

const TOKEN = 'viewer-token-that-is-long-enough';
const CARD = '4111111111111111';
const LONG_MS = 60_000;

test('a number that is hidden in the access log is hidden in the tail, in security events and in spans', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'gatehouse-redaction-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const [accessLog, securityLog] = [join(folder, 'access.log'), join(folder, 'security.log')];
  const collector = await httpCollector(t);
  const upstream = await httpUpstream(t, (_, response) => void response.end('paid'));
  const gateway = await startTestGateway(t, {
    gateway: {
      accessLog: { file: accessLog },
      accessRecords: { redact: { patterns: ['[0-9]{16}'] } },
      securityEvents: { to: { file: securityLog } },
      tracing: { endpoint: collector.url, ratio: 1 },
    },
    identity: { enabled: true, firstAdmin: 'off' },
    admin: { listen: '127.0.0.1:0', tokens: [{ name: 'test', role: 'viewer', token: TOKEN }] },
    services: { payments: { instances: [{ url: upstream.url }] } },
    routes: [
      { name: 'pay', match: { path: '/pay/*' }, service: 'payments', auth: 'public' },
      { name: 'closed', match: { path: '/closed/*' }, service: 'payments', auth: { roles: ['admin'] } },
    ],
  });
  const found = gateway.primary.opsSources().features.find(({ sections }) => sections?.['admin'] !== undefined);
  const { url: origin } = found!.sections!['admin'] as { url: string };
  const watch = async (query: string): Promise<{ text: string }> => {
    const ending = new AbortController();
    t.after(() => ending.abort());
    const stream = await fetch(`${origin}/api/requests/stream?${query}`, {
      headers: { authorization: `Bearer ${TOKEN}` },
      signal: ending.signal,
    });
    assert.equal(stream.status, 200, query);
    const seen = { text: '' };
    void (async () => {
      for await (const part of stream.body!.pipeThrough(new TextDecoderStream())) seen.text += part;
    })().catch(() => {});
    return seen;
  };
  const [tail, guess] = await Promise.all([watch(''), watch(`text=${CARD.slice(0, 6)}`)]);
  const ask = async (path: string, headers: Record<string, string> = {}): Promise<number> => {
    const response = await fetch(gateway.url + path, { headers });
    await response.text();
    return response.status;
  };

  // The order to show records reaches the workers by message.
  await until(
    async () => {
      assert.equal(await ask(`/pay/${CARD}`), 200);
      return tail.text.includes('/pay/');
    },
    'the tail',
    LONG_MS,
  );
  const named = { 'user-agent': `shop ${CARD}`, 'x-request-id': `order-${CARD}` };
  assert.equal(await ask(`/closed/${CARD}`, { authorization: 'Bearer not.a.token', ...named }), 401);
  const read = (file: string): string => (existsSync(file) ? readFileSync(file, 'utf8') : '');
  await until(() => read(accessLog).includes('/closed/'), 'the access log', LONG_MS);
  await until(() => read(securityLog).includes('/closed/'), 'the security event', LONG_MS);
  await until(() => tail.text.includes('/closed/'), 'the tail', LONG_MS);
  await until(() => collector.spans.some(({ name }) => name.includes('/closed/')), 'the span', LONG_MS);

  const shown = {
    access: read(accessLog),
    security: read(securityLog),
    tail: tail.text,
    spans: JSON.stringify(collector.spans),
  };
  for (const [where, text] of Object.entries(shown)) {
    assert.match(text, /\/closed\/\*\*\*/, where);
    assert.ok(!text.includes(CARD), where);
  }
  assert.match(shown.spans, /\/pay\/\*\*\*/);
  assert.doesNotMatch(guess.text, /"path"/, 'nobody finds a hidden text by asking for it');
});
