import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeTimers, turn } from '../../../test/support/fake-timers.ts';
import { createLogger } from '../../base/log.ts';
import type { HealthChange } from './monitor.ts';
import { HealthMonitor } from './monitor.ts';
import type { HealthCheckInput } from './options.ts';
import { healthCheckOptions, healthCheckSettings } from './options.ts';
import type { Probe, ProbeOutcome } from './probe.ts';
import { bad, good } from './probe.ts';
import type { HealthTarget } from './targets.ts';

/** A world of peers that answer as the test says, by port. */
class World {
  readonly timers = new FakeTimers();
  readonly bits = new Map<number, boolean>();
  readonly writes: string[] = [];
  readonly lines: { level: string; message: string; instance: string; reason: string; was: string }[] = [];
  readonly changes: HealthChange[] = [];
  readonly calls: { port: number; atMs: number }[] = [];
  /** A function per port; without one the peer is fine. */
  readonly peers = new Map<number, (signal: AbortSignal) => ProbeOutcome | Promise<ProbeOutcome>>();
  underWay = 0;
  mostUnderWay = 0;
  readonly monitor: HealthMonitor;

  constructor(maxConcurrent = 64, random = () => 0.5) {
    const probe: Probe = {
      run: async (address, _check, signal) => {
        this.calls.push({ port: address.port, atMs: this.timers.clock.monotonicMs() });
        this.mostUnderWay = Math.max(this.mostUnderWay, ++this.underWay);
        try {
          return await (this.peers.get(address.port)?.(signal) ?? good(200));
        } finally {
          this.underWay--;
        }
      },
    };
    this.monitor = new HealthMonitor({
      sink: {
        setHealthy: (slot, healthy) => {
          this.bits.set(slot, healthy);
          this.writes.push(`${slot}:${healthy}`);
        },
      },
      probes: { http: probe, https: probe, tcp: probe, grpc: probe },
      clock: this.timers.clock,
      timers: this.timers,
      log: createLogger('info', (line) => this.lines.push(JSON.parse(line))),
      random,
      maxConcurrent,
      onChange: (change) => this.changes.push(change),
    });
  }

  times(port: number): number[] {
    return this.calls.filter((call) => call.port === port).map((call) => call.atMs);
  }

  state(port: number) {
    const found = this.monitor.states().find((state) => state.instance === `app-${port}`);
    assert.ok(found);
    return found;
  }
}

function target(port: number, check: HealthCheckInput | null = {}, more: Partial<HealthTarget> = {}): HealthTarget {
  return {
    service: 'app',
    instance: `app-${port}`,
    slot: port,
    url: `http://127.0.0.1:${port}`,
    configuredHealthy: true,
    check:
      check === null ? null : healthCheckSettings(healthCheckOptions.parse({ jitter: 0, interval: '10s', ...check })),
    kind: 'http',
    address: { protocol: 'http', host: '127.0.0.1', port, socketPath: null, basePath: '', tls: null },
    ...more,
  };
}

/** A peer that never answers and notices when it is given up. */
const silent = (signal: AbortSignal): Promise<ProbeOutcome> =>
  new Promise((resolve) => signal.addEventListener('abort', () => resolve(bad('given up'))));

describe('health monitor', () => {
  it('takes an instance out after the threshold and back after the other, telling each once', async () => {
    const world = new World();
    world.monitor.apply([target(1)]);
    assert.equal(world.bits.get(1), true, 'the configured health is written at once');
    await world.timers.advance(1_000);
    world.peers.set(1, () => bad('status 500', 500));
    await world.timers.advance(29_000);
    assert.equal(world.bits.get(1), true, 'two failures are not enough');
    await world.timers.advance(1_000);
    assert.equal(world.bits.get(1), false);
    world.peers.delete(1);
    await world.timers.advance(10_000);
    assert.equal(world.bits.get(1), false, 'one good answer is not enough');
    await world.timers.advance(10_000);
    assert.equal(world.bits.get(1), true);
    assert.deepEqual(
      world.lines.map((line) => [line.level, line.message, line.was, line.reason]),
      [
        ['info', 'instance healthy', 'unknown', '1 good response'],
        ['warn', 'instance unhealthy', 'healthy', 'status 500'],
        ['info', 'instance healthy', 'unhealthy', '2 good responses'],
      ],
    );
    assert.deepEqual(
      world.changes.map((change) => [change.url, change.healthy]),
      [
        ['http://127.0.0.1:1', false],
        ['http://127.0.0.1:1', true],
      ],
    );
  });

  it('shows the last answer, its latency, the counts and since when', async () => {
    const world = new World();
    world.peers.set(1, () => {
      world.timers.clock.advance(7);
      return bad('status 503', 503);
    });
    const start = world.timers.clock.wallMs();
    world.monitor.apply([target(1, { unhealthyThreshold: 1 }), target(2, null)]);
    assert.equal(world.state(1).status, 'unknown');
    await world.timers.advance(500);
    const { service, instance, url, ...shown } = world.state(1);
    assert.deepEqual([service, instance, url], ['app', 'app-1', 'http://127.0.0.1:1']);
    assert.deepEqual(shown, {
      healthy: false,
      status: 'unhealthy',
      kind: 'http',
      lastStatus: 503,
      lastReason: 'status 503',
      latencyMs: 7,
      consecutiveSuccesses: 0,
      consecutiveFailures: 1,
      probes: 1,
      failures: 1,
      checkedAtMs: start + 507,
      sinceMs: start + 507,
    });
    assert.equal(world.state(2).status, 'unchecked');
    assert.equal(world.state(2).healthy, true);
  });

  it('gives up a probe at its timeout and says so', async () => {
    const world = new World();
    world.peers.set(1, silent);
    world.monitor.apply([target(1, { timeout: '2s', unhealthyThreshold: 1 })]);
    await world.timers.advance(2_499);
    assert.equal(world.bits.get(1), true);
    await world.timers.advance(1);
    assert.equal(world.bits.get(1), false);
    assert.equal(world.state(1).lastReason, 'no answer within 2000 ms');
    assert.equal(world.underWay, 0);
  });

  it('keeps the interval from start to start, however long an answer takes', async () => {
    const world = new World();
    world.monitor.apply([target(1)]);
    await world.timers.advance(500);
    world.peers.set(1, () => {
      world.timers.clock.advance(400);
      return good();
    });
    await world.timers.advance(25_000);
    assert.deepEqual(world.times(1), [500, 10_500, 20_500]);
  });

  it('asks every second until the first verdict, then at the interval', async () => {
    const world = new World();
    world.peers.set(1, () => bad('no'));
    world.monitor.apply([target(1, { interval: '30s' })]);
    await world.timers.advance(33_000);
    assert.deepEqual(world.times(1), [500, 1_500, 2_500, 32_500]);
    assert.equal(world.bits.get(1), false);
  });

  it('spreads first probes and intervals by chance within the jitter', async () => {
    const draws = [0.25, 0, 0.999];
    const world = new World(64, () => draws.shift() ?? 0.5);
    world.monitor.apply([target(1, { jitter: '10%' })]);
    await world.timers.advance(25_000);
    const [first = 0, second = 0, third = 0] = world.times(1);
    assert.equal(first, 250);
    assert.equal(second - first, 9_000);
    assert.ok(Math.abs(third - second - 10_998) < 1, `${third - second}`);
  });

  it('runs no more probes at once than it may, and all of them in turn', async () => {
    const world = new World(3);
    const release: (() => void)[] = [];
    for (let port = 1; port <= 8; port++) {
      world.peers.set(port, () => new Promise((resolve) => release.push(() => resolve(good()))));
    }
    world.monitor.apply(Array.from({ length: 8 }, (_, index) => target(index + 1)));
    await world.timers.advance(1_000);
    assert.equal(world.underWay, 3);
    while (release.length > 0) {
      release.shift()?.();
      await turn();
    }
    assert.equal(world.mostUnderWay, 3);
    assert.deepEqual(new Set(world.calls.map((call) => call.port)).size, 8);
  });

  it('goes on after a probe that throws', async () => {
    const world = new World();
    world.peers.set(1, () => {
      throw new Error('a defect');
    });
    world.monitor.apply([target(1)]);
    await world.timers.advance(1_600);
    assert.equal(world.state(1).probes, 2);
    assert.equal(world.state(1).lastReason, 'a defect');
  });
});

describe('health monitor over reloads', () => {
  it('leaves an unchanged instance its state and its schedule, also in another slot', async () => {
    const world = new World();
    world.peers.set(1, () => bad('no'));
    world.monitor.apply([target(1)]);
    await world.timers.advance(5_000);
    assert.equal(world.bits.get(1), false);
    world.monitor.apply([target(2), target(1, {}, { slot: 9 })]);
    assert.equal(world.bits.get(9), false, 'the verdict moves with the instance');
    await world.timers.advance(8_000);
    assert.deepEqual(world.times(1), [500, 1_500, 2_500, 12_500]);
    assert.deepEqual(
      world.monitor.states().map((state) => state.instance),
      ['app-2', 'app-1'],
    );
  });

  it('counts anew but keeps the verdict when the check changes', async () => {
    const world = new World();
    world.peers.set(1, () => bad('no'));
    world.monitor.apply([target(1)]);
    await world.timers.advance(3_000);
    world.peers.delete(1);
    world.monitor.apply([target(1, { path: '/other' })]);
    assert.deepEqual([world.state(1).healthy, world.state(1).consecutiveFailures], [false, 0]);
    await world.timers.advance(500);
    assert.equal(world.bits.get(1), false);
    await world.timers.advance(10_000);
    assert.equal(world.bits.get(1), true);
  });

  it('goes back to the configured health when the check is taken away', async () => {
    const world = new World();
    world.peers.set(1, () => bad('no'));
    world.monitor.apply([target(1)]);
    await world.timers.advance(3_000);
    world.monitor.apply([target(1, null)]);
    assert.equal(world.bits.get(1), true);
    assert.equal(world.timers.pending, 0);
  });

  it('never writes the slot of an instance that is gone, not even by a probe still under way', async () => {
    const world = new World();
    let answer: (outcome: ProbeOutcome) => void = () => {};
    world.peers.set(1, () => new Promise((resolve) => (answer = resolve)));
    world.monitor.apply([target(1, { unhealthyThreshold: 1 })]);
    await world.timers.advance(600);
    world.monitor.apply([target(2, null, { slot: 1 })]);
    answer(bad('late'));
    await world.timers.advance(60_000);
    assert.equal(world.bits.get(1), true);
    assert.deepEqual(world.writes, ['1:true', '1:true']);
    assert.equal(world.timers.pending, 0);
    assert.equal(world.lines.length, 0);
  });

  it('gives up what is under way when an instance goes, so that another gets its turn', async () => {
    const world = new World(1);
    world.peers.set(1, silent);
    world.monitor.apply([target(1, { interval: '60s', timeout: '60s' })]);
    await world.timers.advance(600);
    world.monitor.apply([target(2)]);
    await world.timers.advance(600);
    assert.deepEqual(world.times(2), [1_100]);
  });

  it('starts nothing and writes nothing after stop', async () => {
    const world = new World(1);
    world.peers.set(1, silent);
    world.monitor.apply([target(1), target(2)]);
    await world.timers.advance(600);
    world.monitor.stop();
    const { calls, writes } = { calls: world.calls.length, writes: world.writes.length };
    world.monitor.apply([target(3)]);
    await world.timers.advance(60_000);
    assert.deepEqual([world.calls.length, world.writes.length, world.timers.pending], [calls, writes, 0]);
  });
});
