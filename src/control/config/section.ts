/**
 * How a feature of the control plane adds its keys to the configuration: where the key stands, its Zod schema, and
 * what it compiles to. A feature exports one of these from its own folder (`src/control/<area>/options.ts` or beside
 * it) and sections.ts lists it; nothing else changes. The result of `compile` is in the `ControlPlan`, typed.
 */
import type * as z from 'zod';
import type { OptionContext } from '../../data/contract/options.ts';

/** Top level of the document, inside `gateway`, or inside each service. */
export type SectionPlace = 'top' | 'gateway' | 'service';

/** An environment variable that stands for a key. It wins over the file. */
export interface VariableDefinition {
  readonly name: string;
  /** The key that it sets, such as `['gateway', 'port']`. */
  readonly path: readonly string[];
  /** One sentence for the reference page. */
  readonly meaning: string;
  /**
   * Makes the value of the text; undefined leaves the file's value. Default: the text, as a number or boolean if the
   * schema asks for one.
   */
  read?(text: string, env: Readonly<Record<string, string | undefined>>): unknown;
}

export interface AddressLimit {
  /** Regular expression of the paths that it is for; absent: all of the route. */
  readonly paths?: string;
  readonly limit: number;
  readonly windowMs: number;
  readonly burst: number;
  /** Routes with the same scope share their counts. */
  readonly scope: string;
}

/** What one address may ask of an API for operators: far from what people and their programs do, near to guessing. */
export const OPERATOR_CALLS = { limit: 6_000, windowMs: 60_000, burst: 1_000 } as const;

/** A route to a built-in service, added by a section. */
export interface BuiltinRoute {
  /** Such as `builtin:identity/login`. */
  readonly id: string;
  /** A service of this process, such as `builtin:identity`. */
  readonly service: string;
  /** Pattern as in `match.path`. */
  readonly path: string;
  readonly methods?: readonly string[];
  /** The key that moves it or turns it off, for the message when a route of the user's is in the way. */
  readonly movedBy: string;
  readonly upgrades?: readonly string[];
  /** Blocks of addresses that may call it; absent: all. */
  readonly from?: readonly string[];
  /**
   * True: only for callers who are known. It has what the gateway says for every route (limits, address lists), and
   * authentication whatever the gateway says. Where nothing could authenticate anybody the route is left out. Default
   * false: the gateway's limits, address lists, CORS and response fields, and no authentication.
   */
  readonly authenticated?: boolean;
  /** What runs the gateway (probes, authorities, nodes, its console): `gateway.rateLimit` is not for it. */
  readonly isOperations?: boolean;
  /** Before all routes of the document, whatever their priority. */
  readonly goesFirst?: boolean;
  /**
   * What one address may ask of it, with whatever credentials, refused by the workers before they look at those: a
   * flood does not reach the main thread, and a client that guesses tokens is slowed.
   */
  readonly limits?: readonly AddressLimit[];
  /** Of an account with a second factor it wants one given in the last ten minutes (`identity.mfa.stepUpTtl`). */
  readonly stepUp?: boolean;
}

export interface SectionContext extends OptionContext {
  /** Absolute path of `gateway.dataDir`. */
  readonly dataDir: string;
  /** `NODE_ENV`, or `production` where it is not set. */
  readonly environment: string;
  /** Names of the configured services. */
  readonly services: readonly string[];
  /** For `service` keys: the service that is compiled. Empty elsewhere. */
  readonly service: string;
  /** For `service` keys: the Enhanced document's `loadBalancing.healthCheckInterval`, if the service has it. */
  readonly healthCheckIntervalMs: number | undefined;
  /**
   * The text of a key that holds authorities in PEM, as a file or itself: checked, and their end watched. Undefined,
   * and reported, where something is wrong with it.
   */
  readAuthorities(key: string, value: string): string | undefined;
  /** The same of the keys `cert` and `key`, which must fit together. */
  readPair(cert: string, key: string): { readonly cert: string; readonly key: string } | undefined;
  addRoute(route: BuiltinRoute): void;
  /** A built-in service that routes of the document may name, though no section adds a route to it. */
  addService(name: string): void;
  /** A service of the document that the feature calls by itself, so that it is in use without a route. */
  usesService(name: string): void;
}

export interface SectionDefinition<
  Place extends SectionPlace = SectionPlace,
  Key extends string = string,
  Schema extends z.ZodType = z.ZodType,
  Result = unknown,
> {
  readonly at: Place;
  readonly key: Key;
  /** A strict schema; every option has `.describe('...')`, and `.prefault(...)` if it has a default. */
  readonly schema: Schema;
  readonly variables?: readonly VariableDefinition[];
  /** For `service` keys: a service that has the key may do without `instances`, which come while it runs. */
  readonly givesInstances?: boolean;
  /** Called for every document; `options` is undefined when the key is absent. */
  compile(options: z.output<Schema> | undefined, context: SectionContext): Result;
}

/** Types one; `compile` sees the options as the schema gives them, and the plan what it returns. */
export function defineSection<
  const Place extends SectionPlace,
  const Key extends string,
  Schema extends z.ZodType,
  Result,
>(definition: SectionDefinition<Place, Key, Schema, Result>): SectionDefinition<Place, Key, Schema, Result> {
  return definition;
}
