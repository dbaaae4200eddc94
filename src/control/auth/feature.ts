/**
 * Authentication's part of the control plane: reads from each live snapshot which outside issuers, introspection
 * endpoints and authorizers its routes use, keeps the keys of the first fetched and published (topic `auth:jwks`), and
 * answers the workers' questions about the others. What is in two snapshots with equal settings is one thing and goes
 * on over a reload. Owner: the main thread.
 */
import { type Clock, systemClock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { ExtraMetric } from '../../base/extra-metric.ts';
import type { Logger } from '../../base/log.ts';
import { systemTimers, type Timers } from '../../base/system-timers.ts';
import {
  type AuthSettings,
  EXTERNAL_TOPIC,
  type ExternalQuestion,
  INTROSPECT_TOPIC,
  type IntrospectEndpoint,
  type IntrospectQuestion,
  type PublishedKeySource,
  type PublishedKeysMessage,
  REFRESH_TOPIC,
  type RefreshQuestion,
} from '../../data/contract/auth.ts';
import type { Secrets, Snapshot } from '../../data/contract/snapshot.ts';
import type { ControlBus } from '../bus.ts';
import type { Feature } from '../feature.ts';
import { Authorizer, IntrospectionEndpoint } from './endpoints.ts';
import { type AskOutside, OutsideServices } from './http.ts';
import { JwksFetcher } from './jwks-fetcher.ts';

const JWKS_TOPIC = 'auth:jwks';
/** The start waits this long for the first keys; without them tokens of their issuers are answered with 503. */
const START_WAIT_MS = 3_000;

export interface AuthFeatureParts {
  readonly bus: ControlBus;
  readonly log: Logger;
  /**
   * The newest compiled configuration. Workers have a new snapshot a moment before `applied` is called, and may ask
   * about what is only in that one.
   */
  latest?(): AuthCompiled;
  /** For tests. Default those of the system. */
  readonly clock?: Clock;
  readonly timers?: Timers;
  readonly ask?: AskOutside;
  readonly random?: () => number;
}

export interface AuthCompiled {
  readonly snapshot: Snapshot;
  readonly secrets: Secrets;
}

export class AuthFeature implements Feature {
  readonly #parts: Required<Omit<AuthFeatureParts, 'latest'>>;
  readonly #latest: (() => AuthCompiled) | undefined;
  readonly #services = new OutsideServices();
  readonly #fetchers = new Map<string, JwksFetcher>();
  /** Of this snapshot and the one before it, whose last requests may still ask. */
  #endpoints: Generations<IntrospectionEndpoint> = NONE;
  #authorizers: Generations<Authorizer> = NONE;
  #applied: (Pick<AuthCompiled, 'secrets'> & Pick<Snapshot, 'routes'>) | null = null;

  constructor({ bus, log, clock, timers, ask, random, latest }: AuthFeatureParts) {
    this.#latest = latest;
    this.#parts = {
      bus,
      log,
      clock: clock ?? systemClock,
      timers: timers ?? systemTimers,
      ask: ask ?? this.#services.ask,
      random: random ?? Math.random,
    };
    bus.onAsk(REFRESH_TOPIC, (data) => {
      const { id, kid } = data as RefreshQuestion;
      return this.#find(() => this.#fetchers.get(id))?.refresh(kid) ?? false;
    });
    bus.onAsk(INTROSPECT_TOPIC, (data) => {
      const question = data as IntrospectQuestion;
      return known(this.#find(() => lookUp(this.#endpoints, question.id))).introspect(question);
    });
    bus.onAsk(EXTERNAL_TOPIC, (data) => {
      const question = data as ExternalQuestion;
      return known(this.#find(() => lookUp(this.#authorizers, question.id))).authorize(question);
    });
  }

  /** Resolves when every issuer's keys have come, or after a while without. */
  async start(compiled: AuthCompiled): Promise<void> {
    const first = this.#apply(compiled);
    if (first.length === 0) return;
    let cancel = (): void => {};
    const late = new Promise<void>((resolve) => {
      cancel = this.#parts.timers.after(START_WAIT_MS, resolve);
    });
    await Promise.race([Promise.all(first), late]);
    cancel();
  }

  applied(compiled: AuthCompiled): void {
    try {
      void this.#apply(compiled);
    } catch (error) {
      this.#parts.log.error('outside authentication could not be set up', { problem: messageOf(error) });
    }
  }

  dependencies() {
    return [...this.#fetchers.values()].map(({ source, published, problem }) => ({
      name: `issuer ${hostOf(source)}`,
      available: published !== null,
      // Other tokens, keys and public routes work without it.
      required: false,
      detail: { keys: published?.keys.length ?? 0, problem },
    }));
  }

  metrics(): readonly ExtraMetric[] {
    const fetchers = [...this.#fetchers.values()];
    if (fetchers.length === 0) return [];
    const labels = (fetcher: JwksFetcher) => ({ issuer: hostOf(fetcher.source), id: fetcher.source.id });
    return [
      {
        name: 'gatehouse_issuer_keys',
        type: 'gauge',
        help: 'Keys of an outside token issuer that count now',
        samples: fetchers.map((each) => ({ labels: labels(each), value: each.published?.keys.length ?? 0 })),
      },
      {
        name: 'gatehouse_issuer_fetch_failures',
        type: 'gauge',
        help: 'Fetches of the keys of an outside token issuer that failed in a row',
        samples: fetchers.map((each) => ({ labels: labels(each), value: each.failures })),
      },
    ];
  }

  async stop(): Promise<void> {
    for (const fetcher of this.#fetchers.values()) fetcher.stop();
    this.#fetchers.clear();
    this.#services.close();
  }

  /** First fetches of the issuers that are new. */
  #apply({ snapshot, secrets }: AuthCompiled): Promise<boolean>[] {
    // Other instances of services leave both as they are.
    if (this.#applied?.routes === snapshot.routes && this.#applied.secrets === secrets) return [];
    this.#applied = { routes: snapshot.routes, secrets };
    const sources = new Map<string, PublishedKeySource>();
    const endpoints = new Map<string, IntrospectionEndpoint>();
    const authorizers = new Map<string, Authorizer>();
    for (const { introspect, external, jwt } of authSettingsOf(snapshot)) {
      for (const { keys } of jwt?.issuers ?? []) if (keys.kind === 'published') sources.set(keys.id, keys);
      if (introspect !== null && !endpoints.has(introspect.id)) {
        const endpoint = JSON.parse(secrets[introspect.endpoint] ?? 'null') as IntrospectEndpoint;
        endpoints.set(introspect.id, new IntrospectionEndpoint(introspect, endpoint, this.#parts.ask));
      }
      if (external !== null && !authorizers.has(external.id)) {
        authorizers.set(external.id, new Authorizer(external, secrets[external.endpoint] ?? '', this.#parts.ask));
      }
    }
    this.#endpoints = [endpoints, this.#endpoints[0]];
    this.#authorizers = [authorizers, this.#authorizers[0]];
    return this.#follow(sources);
  }

  #follow(sources: ReadonlyMap<string, PublishedKeySource>): Promise<boolean>[] {
    let dropped = false;
    for (const [id, fetcher] of this.#fetchers) {
      if (sources.has(id)) continue;
      fetcher.stop();
      this.#fetchers.delete(id);
      dropped = true;
    }
    const first: Promise<boolean>[] = [];
    for (const [id, source] of sources) {
      if (this.#fetchers.has(id)) continue;
      const fetcher = new JwksFetcher(source, { ...this.#parts, onKeys: () => this.#publish() });
      this.#fetchers.set(id, fetcher);
      first.push(fetcher.start());
    }
    if (dropped) this.#publish();
    return first;
  }

  #publish(): void {
    const message: Record<string, PublishedKeysMessage[string]> = {};
    for (const [id, { published }] of this.#fetchers) if (published !== null) message[id] = published;
    this.#parts.bus.publish(JWKS_TOPIC, message);
  }

  /** What `look` finds, now or after catching up with the newest configuration. */
  #find<T>(look: () => T | undefined): T | undefined {
    const found = look();
    if (found !== undefined || this.#latest === undefined) return found;
    this.applied(this.#latest());
    return look();
  }
}

type Generations<T> = readonly [now: ReadonlyMap<string, T>, before: ReadonlyMap<string, T>];
const NONE: Generations<never> = [new Map<string, never>(), new Map<string, never>()];

function lookUp<T>([now, before]: Generations<T>, id: string): T | undefined {
  return now.get(id) ?? before.get(id);
}

function known<T>(thing: T | undefined): T {
  if (thing === undefined) throw new Error('not configured any more');
  return thing;
}

function authSettingsOf(snapshot: Snapshot): AuthSettings[] {
  return snapshot.routes.flatMap(({ policies }) =>
    policies.filter(({ name }) => name === 'auth').map(({ options }) => options as AuthSettings),
  );
}

function hostOf({ url, discovery }: PublishedKeySource): string {
  return new URL(url ?? discovery ?? '').host;
}
