/**
 * What every discovery source must do, run over each of them. A case brings a world with a first list, a way to change
 * it, and, where the source can fail, ways to break and mend it.
 */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { describe, it } from 'node:test';
import { FakeTimers, turn } from '../../../test/support/fake-timers.ts';
import { until } from '../../../test/support/until.ts';
import { createLogger } from '../../base/log.ts';
import type { InstanceInput } from './instance.ts';
import type { Registry } from './registry/registry.ts';
import type { DiscoverySource, SourceDefinition, SourceEnvironment } from './source.ts';

/** What a source told, in order. */
export class Told {
  readonly lists: (readonly InstanceInput[])[] = [];
  readonly problems: (string | null)[] = [];

  get last(): readonly InstanceInput[] | undefined {
    return this.lists.at(-1);
  }

  get urls(): readonly string[] {
    return (this.last ?? []).map((instance) => instance.url);
  }

  get problem(): string | null | undefined {
    return this.problems.at(-1);
  }
}

export interface Started {
  readonly told: Told;
  readonly source: DiscoverySource;
  readonly timers: FakeTimers;
}

export function sourceEnvironment(timers: FakeTimers, more: Partial<SourceEnvironment> = {}): SourceEnvironment {
  return {
    service: 'orders',
    clock: timers.clock,
    timers,
    log: createLogger('silent'),
    random: () => 0,
    registry: null as Registry | null,
    env: {},
    ...more,
  };
}

/** Starts a source that is stopped when the test is over. */
export function startSource<Settings>(
  t: TestContext,
  definition: SourceDefinition<Settings>,
  settings: Settings,
  more: Partial<SourceEnvironment> = {},
  timers = new FakeTimers(),
): Started {
  const source = definition.create(settings, sourceEnvironment(timers, more));
  t.after(() => source.stop());
  const told = new Told();
  source.start(
    (instances) => told.lists.push(instances),
    (problem) => told.problems.push(problem),
  );
  return { told, source, timers };
}

export interface SourceWorld {
  start(): Started;
  readonly first: readonly string[];
  /** Changes the world; gives the URLs that the source must tell next. */
  change?(): Promise<readonly string[]>;
  break?(): Promise<void>;
  mend?(): Promise<void>;
  /** Time after which the source has looked again. */
  readonly lookMs: number;
}

export function sourceSuite(name: string, makeWorld: (t: TestContext) => Promise<SourceWorld>): void {
  describe(`${name} source, as every source`, () => {
    it('tells the whole list without being asked', async (t) => {
      const world = await makeWorld(t);
      const { told } = world.start();
      await until(() => told.last !== undefined, 'a first list');
      assert.deepEqual(told.urls, world.first);
      assert.equal(told.problem ?? null, null);
    });

    it('says nothing any more after stop, and holds no timer', async (t) => {
      const world = await makeWorld(t);
      const { told, source, timers } = world.start();
      await until(() => told.last !== undefined, 'a first list');
      source.stop();
      const { lists, problems } = { lists: told.lists.length, problems: told.problems.length };
      await world.change?.();
      await world.break?.();
      for (let round = 0; round < 20; round++) await turn();
      assert.equal(timers.pending, 0);
      assert.deepEqual([told.lists.length, told.problems.length], [lists, problems]);
    });

    it('can be stopped at once, twice', async (t) => {
      const world = await makeWorld(t);
      const { told, source } = world.start();
      source.stop();
      source.stop();
      for (let round = 0; round < 20; round++) await turn();
      // What is known without waiting may be told during `start`; nothing may come later.
      assert.ok(told.lists.length <= 1);
    });

    it('tells a change, whole again', async (t) => {
      const world = await makeWorld(t);
      if (world.change === undefined) return t.diagnostic('this source never changes');
      const { told, timers } = world.start();
      await until(() => told.last !== undefined, 'a first list');
      const urls = await world.change();
      await seen(timers, world.lookMs, () => told.urls.join() === urls.join(), `the list ${urls.join()}`);
      assert.equal(told.problem ?? null, null);
    });

    it('keeps the last list while it fails, says so, and says when it works again', async (t) => {
      const world = await makeWorld(t);
      if (world.break === undefined || world.mend === undefined) return t.diagnostic('this source cannot fail');
      const { told, timers } = world.start();
      await until(() => told.last !== undefined, 'a first list');
      await world.break();
      await seen(timers, world.lookMs, () => typeof told.problem === 'string', 'a problem');
      assert.deepEqual(told.urls, world.first);
      await world.mend();
      await seen(timers, world.lookMs, () => told.problem === null, 'the end of the problem');
      assert.deepEqual(told.urls, world.first);
    });
  });
}

/** Moves the clock in steps until it happened: what a source does between two looks is real input and output. */
export async function seen(timers: FakeTimers, stepMs: number, condition: () => boolean, what: string): Promise<void> {
  const giveUpMs = performance.now() + 5_000;
  while (!condition()) {
    if (performance.now() > giveUpMs) throw new Error(`it did not happen: ${what}`);
    await timers.advance(stepMs);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
