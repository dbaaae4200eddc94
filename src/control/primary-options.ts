/** What main.ts gives the primary: where the configuration is, and what the data plane makes for it. */
import type { AreaLevels, Logger, LogLevel } from '../base/log.ts';
import type { CacheControl } from '../data/contract/cache.ts';
import type { Snapshot } from '../data/contract/snapshot.ts';
import type { LoadOptions } from './config/load.ts';
import type { Feature, OperatorHost } from './feature.ts';

export interface PrimaryOptions {
  readonly load: LoadOptions;
  readonly log: Logger;
  /** Gets `gateway.logLevel`, at start and when a reload changes it. */
  readonly setLogLevel: (level: LogLevel, areas: AreaLevels | undefined) => void;
  readonly writeLog: (line: string) => void;
  readonly workerEntry: URL;
  /** Secret id under which the workers find the keys that seal TLS session tickets. */
  readonly ticketKeysId: string;
  /** A store for responses, of this many bytes. */
  readonly createCache: (bytes: number) => CacheControl;
  /** Memory of the rate limits, of this many bytes. */
  readonly createLimits: (bytes: number) => SharedArrayBuffer;
  /** Which route of these takes a request, and why the others do not. */
  readonly explain: (routes: Snapshot['routes'], method: string, url: string, headers: readonly string[]) => unknown;
  readonly features: readonly ((host: OperatorHost) => Feature)[];
  /** Starts in the place of the process that has the data folder, if there is one. */
  readonly takesOver: boolean;
}
