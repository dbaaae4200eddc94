/**
 * How a policy tells the configuration about itself: the key under which it is written, the Zod schema of its options
 * and what they compile to. `src/data/policies/<name>.options.ts` exports one; src/data/catalog.ts lists them all.
 * Kept apart from the policy's own file, because worker threads load policies and must not load zod: nothing here
 * imports it but as a type.
 */
import type * as z from 'zod';
import type { PolicySettings } from './snapshot.ts';

export type KeyPath = readonly (string | number)[];

/** What more a problem can say; never a secret. */
export interface ProblemDetail {
  /** Below the key that is compiled, such as `['jwt', 'issuer']`. Default: the key itself. */
  readonly at?: KeyPath;
  /** The offending value, as it may be shown. */
  readonly got?: string;
  readonly expected?: string;
  /** The nearest value that would be right. */
  readonly suggestion?: string;
}

/** What `compile` may use. Paths and files are relative to the folder of the configuration file. */
export interface OptionContext {
  /** Where the key stands, such as `['routes', 3, 'auth']`. */
  readonly path: KeyPath;
  readonly env: Readonly<Record<string, string | undefined>>;
  /**
   * The whole checked document, for keys that name what stands elsewhere (`plans`, `issuers`); absent in unit tests.
   */
  readonly document?: Readonly<Record<string, unknown>>;
  /** Absolute path of a file named in the configuration. */
  resolve(file: string): string;
  /** The text of a file named in the configuration; a file that cannot be read is reported, and gives undefined. */
  readText(file: string, detail?: ProblemDetail): string | undefined;
  /** Puts a text beside the snapshot instead of into it and returns the id that the options then carry. */
  secret(id: string, text: string): string;
  /** The same, with an id that is whole: several that need one text share it. */
  shared?(id: string, text: string): void;
  /** Refuses the configuration; lower case, no full stop. All problems are gathered before it is refused. */
  problem(message: string, detail?: ProblemDetail): void;
  /** Shown by `check` and at start; refuses nothing. */
  warning(message: string, detail?: ProblemDetail): void;
}

/** What a policy may know of the route that it is compiled for. */
export interface RouteFacts {
  readonly id: string;
  /** Names of the services that the route may send to; empty for `handler`, `ticket`, `respond` and `redirect`. */
  readonly services: readonly string[];
  readonly action?: 'service' | 'aggregate' | 'handler' | 'ticket' | 'respond' | 'redirect';
  /** Where the setting stands that is compiled. */
  readonly level?: PolicyLevel | 'default';
  /** No caller is known here: what holds of `auth` is `public`. */
  readonly isPublic?: boolean;
}

export type PolicyLevel = 'gateway' | 'service' | 'route';

export interface PolicyOptionsDefinition<
  Key extends string = string,
  Schema extends z.ZodType = z.ZodType,
  Level extends PolicyLevel = PolicyLevel,
> {
  /** The key in the configuration, such as `rateLimit`. */
  readonly key: Key;
  /** A strict schema; every option has `.describe('...')`, and `.prefault(...)` if it has a default. */
  readonly schema: Schema;
  /**
   * Where the key may stand, such as `['gateway', 'route']`. On the gateway it applies to every route, on a service to
   * the routes that send to that service alone. Where there are several levels, `off` on a nearer one ends the wider
   * ones.
   */
  readonly levels: readonly Level[];
  /** Which level holds when several say something. Default `nearest`. */
  readonly combine?: 'nearest' | 'all';
  /** A policy file's name if it is not the key; `compile` may give others. */
  readonly policy?: string;
  /** Options, as written in a document, for a user's route without settings on any level. */
  whenAbsent?(): z.input<Schema>;
  /** Default: one policy with the options as validated. */
  compile?(options: z.output<Schema>, context: OptionContext, route: RouteFacts): readonly PolicySettings[];
}

/** The options that a balancing algorithm takes in `loadBalancing`, beside `algorithm` itself. */
export interface BalancerOptionsDefinition<Name extends string = string, Schema extends z.ZodObject = z.ZodObject> {
  /** As in the configuration, and the name of the algorithm's file. */
  readonly algorithm: Name;
  /** A strict object; `{}` for an algorithm without options. */
  readonly schema: Schema;
  /** Changes what the schema gave into what the algorithm's `create` takes: makes a file's path absolute, checks it. */
  compile?(options: z.output<Schema>, context: OptionContext): unknown;
}

export function defineBalancerOptions<const Name extends string, Schema extends z.ZodObject>(
  definition: BalancerOptionsDefinition<Name, Schema>,
): BalancerOptionsDefinition<Name, Schema> {
  return definition;
}

/** Types one; methods of a definition see the options as the schema gives them. */
export function definePolicyOptions<
  const Key extends string,
  Schema extends z.ZodType,
  const Level extends PolicyLevel,
>(definition: PolicyOptionsDefinition<Key, Schema, Level>): PolicyOptionsDefinition<Key, Schema, Level> {
  return definition;
}
