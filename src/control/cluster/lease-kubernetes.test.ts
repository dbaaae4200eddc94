/** The lease in an API server of our own that is as strict as a real one (test/support/kubernetes-leases.ts). */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { KubernetesLeases } from '../../../test/support/kubernetes-leases.ts';
import { TEST_CERTIFICATE } from '../../../test/support/test-certificate.ts';
import { systemClock } from '../../base/clock.ts';
import { systemTimers } from '../../base/system-timers.ts';
import { leaseSuite } from './lease.suite.ts';
import { KubernetesLeaseStore } from './lease-kubernetes.ts';

let server: KubernetesLeases;
let folder: string;
let leases = 0;
before(async () => {
  server = await KubernetesLeases.start({ tls: true });
  folder = mkdtempSync(join(tmpdir(), 'gatehouse-lease-'));
  writeFileSync(join(folder, 'token'), 'first\n');
  writeFileSync(join(folder, 'ca.crt'), TEST_CERTIFICATE);
  server.tokens.add('first');
});
after(async () => {
  await server?.close();
  rmSync(folder, { recursive: true, force: true });
});

function open(lease: string, floor = async () => 0): KubernetesLeaseStore {
  return new KubernetesLeaseStore({
    settings: {
      lease,
      namespace: 'edge',
      apiServer: server.url,
      tokenFile: join(folder, 'token'),
      caFile: join(folder, 'ca.crt'),
    },
    env: {},
    clock: systemClock,
    timers: systemTimers,
    floor,
  });
}

leaseSuite('Kubernetes', {
  async open(floor) {
    const name = `lease-${++leases}`;
    return [open(name, floor), open(name, floor)];
  },
});

test('what others wrote into the Lease stays, and kubectl shows who holds it', async () => {
  const one = open('shown');
  const epoch = await one.acquire('gateway-1', 6_000);
  const { metadata, spec } = server.lease('edge', 'shown')!;
  assert.deepEqual(metadata['labels'], { 'app.kubernetes.io/managed-by': 'gatehouse' });
  assert.equal(spec['holderIdentity'], 'gateway-1');
  assert.equal(spec['leaseDurationSeconds'], 6);
  assert.equal(spec['leaseTransitions'], epoch);
  const acquiredAt = spec['acquireTime'];
  await one.acquire('gateway-1', 6_000);
  const later = server.lease('edge', 'shown')!;
  assert.equal(later.spec['acquireTime'], acquiredAt);
  assert.deepEqual(later.metadata['labels'], metadata['labels']);
  assert.equal(later.metadata['uid'], metadata['uid']);
});

test('a token that was replaced on disk is used with the next request', async () => {
  const one = open('token');
  assert.ok(await one.acquire('a', 60_000));
  server.tokens.clear();
  server.tokens.add('second');
  await assert.rejects(one.acquire('a', 60_000), /Unauthorized/);
  writeFileSync(join(folder, 'token'), 'second\n');
  assert.ok(await one.acquire('a', 60_000));
});

test('the clock of the API server decides: hours away from the clock of the nodes it changes nothing', async () => {
  server.shiftMs = -7 * 3_600_000;
  const [one, two] = [open('skewed'), open('skewed')];
  assert.ok(await one.acquire('a', 60_000));
  assert.equal(await two.acquire('b', 60_000), null);
  assert.ok((await two.read())!.untilMs < Date.now() - 6 * 3_600_000);
  server.shiftMs += 120_000;
  assert.ok(await two.acquire('b', 60_000), 'two minutes later for it');
  server.shiftMs = 0;
});

test('a Lease that was deleted is made again with a higher epoch, and its former holder hears of it', async () => {
  let written = 0;
  const floor = async () => written;
  const [one, two] = [open('deleted', floor), open('deleted', floor)];
  written = (await one.acquire('a', 60_000)) ?? 0;
  server.delete('edge', 'deleted');
  const epoch = (await two.acquire('b', 60_000)) ?? 0;
  assert.ok(epoch > written);
  assert.equal(await one.acquire('a', 60_000), null);
});

test('an API server that is away, refuses or says nonsense is a rejection, never a lease', async () => {
  const one = open('away');
  server.isAway = true;
  await assert.rejects(one.acquire('a', 60_000), /timed out/);
  await assert.rejects(one.read(), /timed out/);
  server.isAway = false;
  assert.ok(await one.acquire('a', 60_000));
});
