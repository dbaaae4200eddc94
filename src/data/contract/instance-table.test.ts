import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from '../../base/clock.ts';
import { instance, settings } from '../balancer/fixtures.suite.ts';
import { INSTANCE, instanceAt, SERVICE, serviceAt, TABLE_BYTES } from './instance-layout.ts';
import { createInstanceTable, InstanceTable, TICK_MS } from './instance-table.ts';
import { readServiceState } from './service-state.ts';

function tables(count: number): { clock: FakeClock; views: InstanceTable[] } {
  const buffer = createInstanceTable();
  const clock = new FakeClock();
  return { clock, views: Array.from({ length: count }, () => new InstanceTable(buffer, clock)) };
}

describe('instance table', () => {
  it('refuses a buffer that is none', () => {
    assert.throws(() => new InstanceTable(new SharedArrayBuffer(64)), TypeError);
    assert.throws(() => new InstanceTable(new SharedArrayBuffer(TABLE_BYTES)), TypeError);
  });

  it('refuses a slot that it does not have', () => {
    const [table] = tables(1).views;
    assert.throws(() => table!.claim(settings({ slot: 1_024 }), false), RangeError);
    assert.throws(() => table!.claim(settings({ instances: [instance(8_192)] }), false), RangeError);
    assert.throws(() => table!.clearWorker(64), RangeError);
  });

  it('counts in flight over all workers and keeps the limit exactly', () => {
    const [a, b] = tables(2).views;
    assert.equal(a!.enterInstance(1, 0, 2), true);
    assert.equal(b!.enterInstance(1, 1, 2), true);
    assert.equal(a!.enterInstance(1, 0, 2), false);
    assert.equal(b!.instanceInFlight(1), 2);
    b!.leaveInstance(1, 1);
    assert.equal(a!.enterInstance(1, 0, 2), true);
    assert.equal(a!.enterInstance(1, 0, 0), true, '0 is no limit');
  });

  it('takes back what a dead worker held, and nothing of the others', () => {
    const [a, b, control] = tables(3).views;
    for (let i = 0; i < 3; i++) a!.enterInstance(7, 0, 0);
    b!.enterInstance(7, 1, 0);
    a!.enterService(2, 0, 0);
    a!.addWaiting(2, 0, 1);
    control!.clearWorker(0);
    assert.equal(control!.instanceInFlight(7), 1);
    assert.equal(control!.serviceInFlight(2), 0);
    assert.equal(control!.serviceWaiting(2), 0);
    control!.clearWorker(0);
    assert.equal(control!.instanceInFlight(7), 1, 'a second time changes nothing');
  });

  it('keeps the state of a slot whose owner stays, and clears it for another', () => {
    const [table] = tables(1).views;
    const service = settings({ instances: [instance(1), instance(2)] });
    table!.claim(service, false);
    table!.setHealthy(1, false);
    table!.enterInstance(1, 0, 0);
    table!.claim(service, false);
    assert.equal(readServiceState(table!, service).instances[0]!.healthy, false);
    const other = settings({ instances: [instance(1, { id: 'another' }), instance(2)] });
    table!.claim(other, false);
    assert.equal(readServiceState(table!, other).instances[0]!.healthy, true);
    assert.equal(table!.instanceInFlight(1), 1, 'requests to the former owner still end');
  });

  it('begins with the health that is configured', () => {
    const [table] = tables(1).views;
    const service = settings({ instances: [instance(1, { healthy: false }), instance(2)] });
    table!.claim(service, false);
    assert.deepEqual(
      readServiceState(table!, service).instances.map((state) => [state.healthy, state.usable]),
      [
        [false, false],
        [true, true],
      ],
    );
  });

  it('tells all workers of a change, once', () => {
    const [control, worker] = tables(2).views;
    const service = settings();
    control!.claim(service, false);
    const version = (): number => worker!.words[instanceVersionAt()]!;
    const before = version();
    control!.setHealthy(1, false);
    control!.setHealthy(1, false);
    assert.equal(version(), before + 1);
    control!.setDraining(2, true);
    control!.setDraining(2, true);
    assert.equal(version(), before + 2);
    control!.setHealthy(1, true);
    control!.setDraining(2, false);
    assert.equal(version(), before + 4);
  });

  it('notes when an instance came back, and when one is new', () => {
    const { clock, views } = tables(1);
    const [table] = views;
    table!.claim(settings({ instances: [instance(1)] }), false);
    const recoveredAt = (slot: number): number => table!.words[instanceAt(slot) + INSTANCE.recoveredAt]!;
    assert.equal(recoveredAt(1), 0, 'not at the start');
    table!.setHealthy(1, true);
    assert.equal(recoveredAt(1), 0, 'it was not away');
    clock.advance(1_000);
    table!.setHealthy(1, false);
    table!.setHealthy(1, true);
    assert.equal(recoveredAt(1), table!.nowTick());
    table!.claim(settings({ instances: [instance(1), instance(2)] }), true);
    assert.equal(recoveredAt(2), table!.nowTick());
  });

  it('counts ticks from the start in the buffer, the same in every view', () => {
    const { clock, views } = tables(2);
    const [a, b] = views;
    const start = a!.nowTick();
    clock.advance(1_000);
    assert.equal(b!.nowTick() - start, 1_000 / TICK_MS);
    assert.notEqual(a!.tickOf(-60_000), 0, '0 means never');
  });

  it('counts system time from its creation', () => {
    const buffer = createInstanceTable();
    const first = new InstanceTable(buffer).nowTick();
    assert.ok(first >= 6_000 && first < 6_000 + 6_000, `got ${first}`);
  });
});

/** Word of service slot 1's version. */
function instanceVersionAt(): number {
  return serviceAt(1) + SERVICE.version;
}
