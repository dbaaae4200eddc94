/**
 * Symptom: the metrics of a new route counted an answer that it never gave. Cause: an exchange that outlives its route
 * (a long download, an event stream) counted into the slot that the route had had, which a later reload had given to
 * another. Fix: a route that is gone has no slot; what ends on it counts where requests without a route do.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createLogger } from '../../src/base/log.ts';
import { startGateway } from '../../src/main.ts';
import { RawCaller } from '../support/raw.ts';
import { until } from '../support/until.ts';
import { httpUpstream } from '../support/upstream.ts';

test('a route that gets the slot of a former one starts from zero, and stays there', async (t) => {
  const held: ServerResponse[] = [];
  const upstream = await httpUpstream(t, (_request, response) => {
    response.write('first part');
    held.push(response);
  });
  const folder = await mkdtemp(join(tmpdir(), 'gh-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'gatehouse.json');
  const write = (...names: readonly string[]) =>
    writeFile(
      file,
      JSON.stringify({
        gateway: { host: '127.0.0.1', port: 0, workers: 1, accessLog: 'off', dataDir: folder },
        services: { s: { instances: [{ url: upstream.url }] } },
        routes: names.map((name) => ({ name, match: { path: `/${name}` }, service: 's', auth: 'public' })),
      }),
    );
  await write('stays', 'goes');
  const gateway = await startGateway({ configFile: file, env: {}, log: createLogger('silent') });
  t.after(async () => {
    await gateway.stop({ timeoutMs: 500 });
  });
  const { primary } = gateway;
  const { port } = gateway.addresses[0]!;
  const slotOf = (name: string): number => primary.snapshot.routes.find(({ id }) => id === name)!.slot;
  const become = async (...names: readonly string[]): Promise<void> => {
    await write(...names);
    assert.deepEqual((await gateway.reload()).problems, []);
  };
  const former = slotOf('goes');
  const streams = ['stays', 'goes'].map((name) => {
    const caller = new RawCaller(port).send(`GET /${name} HTTP/1.1\r\nHost: a\r\n\r\n`);
    t.after(() => caller.close());
    return caller.answer();
  });
  await until(() => held.length === 2, 'both requests');
  await become('stays');
  await become('stays', 'comes');
  assert.equal(slotOf('comes'), former, 'the slot is used again');
  for (const response of held) response.end();
  assert.deepEqual(
    (await Promise.all(streams)).map(({ status }) => status),
    [200, 200],
  );
  const total = (slot: number): number => primary.metrics.route(slot).total;
  await until(() => primary.metrics.number('exchanges_active') === 0, 'the end of the exchanges');
  assert.deepEqual([total(slotOf('comes')), total(slotOf('stays')), total(0)], [0, 1, 1]);
});
