/**
 * What every failure test begins and ends with: instances in processes of their own, a gateway with two workers in
 * front of them, callers that measure; and at the end the figures, what may have been lost, and that nothing ran twice.
 */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { Fleet } from './fleet.ts';
import type { TestGateway } from './gateway.ts';
import { startTestGateway } from './gateway.ts';
import type { LoadOptions } from './measured-load.ts';
import { assertHonest, assertOnce, Load } from './measured-load.ts';
import { until } from './until.ts';

/**
 * A service as its owner would protect it: short deadlines for each try, three further tries, ejection. Times are short
 * because tests are; the budget is the default.
 */
export const PROTECTED = {
  loadBalancing: { algorithm: 'round-robin' },
  timeouts: { connect: '500ms', firstByte: '600ms' },
  retries: { attempts: 3, perTry: '600ms', statuses: [500], backoff: { base: '5ms', max: '50ms' }, budgetMinimum: 10 },
  ejection: { consecutiveFaults: 3, baseEjection: '500ms', maxEjection: '1s' },
} as const;

export interface Scene {
  readonly fleet: Fleet;
  readonly gateway: TestGateway;
  readonly load: Load;
}

export interface SceneOptions {
  readonly names?: readonly string[];
  /** Fields of the instance with this name. */
  readonly instance?: (name: string) => Readonly<Record<string, unknown>>;
  /** Nothing but instances: what a newcomer gets. */
  readonly bare?: boolean;
  /** Keys of the service over those of `PROTECTED`. */
  readonly service?: Readonly<Record<string, unknown>>;
  readonly load?: LoadOptions;
}

/** Three instances unless named otherwise, and load that has already been answered by each of them. */
export async function startScene(t: TestContext, options: SceneOptions = {}): Promise<Scene> {
  const fleet = await Fleet.start(t, options.names ?? ['a', 'b', 'c']);
  const instances = fleet.instances.map(({ name, url }) => ({ url, ...options.instance?.(name) }));
  const gateway = await startTestGateway(t, {
    gateway: { workers: 2 },
    services: { work: { instances, ...(options.bare === true ? {} : PROTECTED), ...options.service } },
    routes: [{ match: { path: '/w/*' }, service: 'work', auth: 'public' }],
  });
  const load = new Load(gateway.port, options.load);
  t.after(() => load.stop());
  await load.more(10);
  return { fleet, gateway, load };
}

/** Ends the load, prints what the callers saw, and holds it against what was promised. */
export async function endScene(
  t: TestContext,
  { fleet, gateway, load }: Scene,
  alsoHonest: readonly string[] = [],
): Promise<void> {
  await load.stop();
  t.diagnostic(load.describe());
  try {
    assertHonest(load, alsoHonest);
    assertOnce(await fleet.journal());
    assert.ok(load.GET.longestGapMs < 3_000, 'GET was answered all the time');
    await assertQuiet(gateway);
  } catch (error) {
    for (const line of gateway.logged) t.diagnostic(line);
    throw error;
  }
}

/** With nobody asking any more, nothing is counted as under way, and nothing went wrong inside. */
export async function assertQuiet(gateway: TestGateway): Promise<void> {
  const busy = (): string => {
    const [service] = gateway.primary.opsSources().services;
    const { inFlight, waiting, instances } = service!;
    return [inFlight, waiting, ...instances.map((instance) => instance.inFlight)].join();
  };
  await until(() => /^0(,0)*$/.test(busy()), 'nothing is in flight any more');
  const errors = gateway.logged.filter((line) => (JSON.parse(line) as { level: string }).level === 'error');
  assert.deepEqual(errors, [], 'no error in the log');
}
