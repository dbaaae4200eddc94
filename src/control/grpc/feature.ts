/**
 * Reflection as a part of the control plane: finds the routes of each live configuration whose `transcode` takes its
 * definitions from the service, and keeps one reflector (reflector.ts) for each service and choice of methods. What is
 * in two configurations alike goes on over a reload. Nothing runs where no route asks for it.
 */
import type { ExtraMetric } from '../../base/extra-metric.ts';
import { systemTimers, type Timers } from '../../base/system-timers.ts';
import type { Secrets, Snapshot } from '../../data/contract/snapshot.ts';
import type { ReflectionSettings } from '../../data/contract/transcode.ts';
import type { Feature, FeatureHost } from '../feature.ts';
import { healthTargets } from '../health/targets.ts';
import { kept } from '../kept.ts';
import { Reflector } from './reflector.ts';

/** The start waits this long for the first answers; a route that has none yet answers 503. */
const START_WAIT_MS = 3_000;

interface Live {
  readonly snapshot: Snapshot;
  readonly secrets: Secrets;
}

export class ReflectionFeature implements Feature {
  readonly #host: Pick<FeatureHost, 'bus' | 'log'>;
  readonly #timers: Timers;
  readonly #reflectors = new Map<string, Reflector>();
  readonly #wanted = kept((routes: Snapshot['routes']): ReadonlyMap<string, ReflectionSettings> => {
    const wanted = new Map<string, ReflectionSettings>();
    for (const { transcode } of routes)
      if (transcode?.reflection != null) wanted.set(transcode.reflection.topic, transcode.reflection);
    return wanted;
  });

  constructor(host: Pick<FeatureHost, 'bus' | 'log'>, timers: Timers = systemTimers) {
    this.#host = host;
    this.#timers = timers;
  }

  async start(compiled: Live): Promise<void> {
    this.applied(compiled);
    if (this.#reflectors.size === 0) return;
    let cancel = (): void => {};
    const late = new Promise<void>((resolve) => {
      cancel = this.#timers.after(START_WAIT_MS, resolve);
    });
    await Promise.race([Promise.all([...this.#reflectors.values()].map(({ first }) => first)), late]);
    cancel();
  }

  applied({ snapshot, secrets }: Live): void {
    const wanted = this.#wanted(snapshot.routes);
    for (const [topic, reflector] of this.#reflectors) {
      if (wanted.get(topic)?.refreshMs === reflector.settings.refreshMs) continue;
      reflector.stop();
      this.#reflectors.delete(topic);
    }
    if (wanted.size === 0) return;
    const targets = healthTargets(snapshot, secrets, new Map());
    for (const [topic, settings] of wanted) {
      let reflector = this.#reflectors.get(topic);
      if (reflector === undefined) {
        const { bus, log } = this.#host;
        const publish = (name: string, api: unknown): void => bus.publish(name, api);
        reflector = new Reflector(settings, { timers: this.#timers, log, publish });
        this.#reflectors.set(topic, reflector);
      }
      reflector.use(targets.filter(({ service }) => service === settings.service));
    }
  }

  /** None is required: routes that know their service go on, and all others do not need it. */
  dependencies() {
    return [...this.#reflectors.values()].map(({ settings, problem, methods }) => ({
      name: `reflection:${settings.service}`,
      available: problem === null,
      required: false,
      detail: { methods, problem },
    }));
  }

  metrics(): readonly ExtraMetric[] {
    const reflectors = [...this.#reflectors.values()];
    if (reflectors.length === 0) return [];
    return [
      {
        name: 'gatehouse_reflection_methods',
        type: 'gauge',
        help: 'Methods that a gRPC service has said to offer over HTTP, by reflection',
        samples: reflectors.map(({ settings, methods }) => ({ labels: { service: settings.service }, value: methods })),
      },
      {
        name: 'gatehouse_reflection_failures',
        type: 'gauge',
        help: 'Questions of reflection to a gRPC service that failed in a row',
        samples: reflectors.map(({ settings, failures }) => ({
          labels: { service: settings.service },
          value: failures,
        })),
      },
    ];
  }

  async stop(): Promise<void> {
    for (const reflector of this.#reflectors.values()) reflector.stop();
    this.#reflectors.clear();
  }
}
