/** The AWARE system: its acceptance criteria as calls, and an application that works while nodes are killed. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { measure } from './availability.ts';
import { countWords } from './services/count-words.ts';
import { APPLICATION, Aware, waitFor } from './testing.ts';
import { parts, wordCount } from './word-count.ts';

const TEXT = readFileSync(new URL('../storyverse/text/tales.txt', import.meta.url), 'utf8').slice(0, 60_000);
let aware: Aware;

before(async () => {
  aware = await Aware.start();
});
after(async () => {
  await aware?.stop();
});

describe('AWARE', () => {
  test('an application counts the words of a text over the nodes', async () => {
    const { words, byNode } = await wordCount(aware.cluster, TEXT);
    assert.deepEqual(Object.fromEntries(words), countWords(TEXT));
    assert.ok(byNode.size >= 2, JSON.stringify([...byNode]));
  });

  test('workers are killed while they count: the count is the same, and they come back', async () => {
    const counting = wordCount(aware.cluster, TEXT.repeat(2), 2_000);
    for (const name of ['worker-1', 'worker-2']) {
      assert.deepEqual(await aware.killWorker(name), { name, killed: true });
    }
    const { words } = await counting;
    assert.deepEqual(Object.fromEntries(words), countWords(TEXT.repeat(2)));
    await waitFor(
      () => aware.workersAlive(),
      (count) => count === 3,
      'the killed ones are back',
    );
  });

  test('the API stays available while the queen is killed and comes back', async () => {
    const { cluster, urls } = aware;
    const { queen } = await waitFor(
      () => cluster.status(),
      (status) => status.queen !== null,
      'there is a queen',
    );
    const ended = new AbortController();
    const measuring = measure({ urls, key: APPLICATION, callers: 4, signal: ended.signal });
    await aware.killGateway(queen ?? '');
    const next = await waitFor(
      () => cluster.status(),
      (status) => status.queen !== null && status.queen !== queen,
      'another queen',
    );
    aware.startGateway(queen ?? '');
    await aware.gatewayIsReady(queen ?? '');
    ended.abort();
    const { calls, good, p50, p95, p99 } = await measuring;
    console.log(
      `queen ${queen} killed, then ${next.queen}: ${good} of ${calls} calls good, p50 ${p50} ms, p95 ${p95} ms, p99 ${p99} ms`,
    );
    assert.ok(calls > 50 && good / calls >= 0.999, `${good} of ${calls}`);
  });

  test('authentication, validation, errors, versioning, documentation and health are there', async () => {
    const ask = (path: string, key?: string, init: RequestInit = {}) =>
      fetch(`${aware.urls[0]}${path}`, {
        ...init,
        headers: { 'content-type': 'application/json', ...(key === undefined ? {} : { 'x-api-key': key }) },
      });
    const unknown = await ask('/api/v1/nodes');
    assert.equal(unknown.status, 401);
    const { code, message, request_id } = (await unknown.json()) as Record<string, unknown>;
    assert.equal(code, 'AUTHENTICATION_REQUIRED');
    assert.ok(message !== '' && request_id !== '');
    const wrong = await ask('/api/v1/cluster/tasks', APPLICATION, { method: 'POST', body: '{"kind":7}' });
    assert.equal(wrong.status, 400);
    assert.match(await wrong.text(), /"field":"kind"/);
    assert.equal((await ask('/api/v1/cluster/tokens', APPLICATION, { method: 'POST', body: '{}' })).status, 403);
    assert.equal((await ask('/api/v2/nodes', APPLICATION)).status, 404);
    const document = (await (await ask('/api/v1/cluster/openapi.json', APPLICATION)).json()) as { openapi: string };
    assert.equal(document.openapi, '3.1.0');
    for (const path of ['/health', '/health/live', '/health/ready', '/api/v1/cluster/health'])
      assert.equal((await ask(path, APPLICATION)).status, 200, path);
  });
});

test('a text is cut between words only', () => {
  const text = 'one two  three\nfour';
  for (let length = 1; length < text.length; length++) {
    const cut = parts(text, length);
    assert.equal(cut.join(''), text);
    assert.deepEqual(
      cut.flatMap((part) => part.split(/\s+/).filter((word) => word !== '')),
      ['one', 'two', 'three', 'four'],
    );
  }
});
