/**
 * Starts a gateway: joins the control plane (this thread) and the data plane (worker threads). The only file that
 * knows both. The command line and the embedding API come here.
 */
import type { LevelSetting, Logger } from './base/log.ts';
import { createLogger } from './base/log.ts';
import { standardError } from './base/process-output.ts';
import { ConfigurationError } from './control/config/problems.ts';
import type { Environment } from './control/config/source.ts';
import { FEATURES } from './control/features.ts';
import type { ReloadResult } from './control/live-configuration.ts';
import { Primary } from './control/primary.ts';
import { CacheAdmin } from './data/cache/cache-admin.ts';
import { allocateLimits } from './data/limiter/table.ts';
import { TICKET_KEYS } from './data/listener/tls.ts';
import { explainRequest } from './explain-request.ts';
import { WORKER_ENTRY } from './worker-entry.ts';

export { ConfigurationError };

export interface GatewayOptions {
  /** Path of the configuration file. Either this or `document`. */
  readonly configFile?: string;
  /** The configuration itself. */
  readonly document?: unknown;
  /** Environment variables. Default: those of the process. */
  readonly env?: Environment;
  /**
   * Folder that a relative `configFile`, and relative paths in a `document`, are relative to. Default: the working
   * directory.
   */
  readonly cwd?: string;
  /**
   * Takes over from the gateway that runs with the same data folder, if there is one, without losing a request: shares
   * its ports, waits until all workers serve, then tells it to go. Linux only. Default: false.
   */
  readonly takesOver?: boolean;
  /** Default: JSON lines on standard error at level `gateway.logLevel`. */
  readonly log?: Logger;
  /** Takes the finished log lines of the worker threads. Default: standard error. */
  readonly writeLog?: (line: string) => void;
}

export interface GatewayAddress {
  readonly id: string;
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}

export interface RunningGateway {
  /** Where it listens, with real ports where 0 was configured. */
  readonly addresses: readonly GatewayAddress[];
  /** Reads the configuration anew; a bad one changes nothing. */
  reload(reason?: string): Promise<ReloadResult>;
  /** Opens log files anew, after they were moved away. */
  reopenLogs(): void;
  /** What `gatehouse status` shows. */
  status(): unknown;
  /**
   * Ends: in-flight requests get `timeoutMs` (default `gateway.shutdownTimeout`). Resolves with the connections cut
   * off.
   */
  stop(options?: { timeoutMs?: number }): Promise<number>;
  /** Resolves when another process has taken over: this gateway ends by itself then, and `stop` tells when it has. */
  readonly replaced: Promise<void>;
  /** The main thread's half, for tests and embedding programs that need more; not a stable interface. */
  readonly primary: Primary;
}

/**
 * Rejects with a `ConfigurationError` when the configuration is wrong, with a `TypeError` when the options name none or
 * two, or with what could not be bound or opened.
 */
export async function startGateway(options: GatewayOptions): Promise<RunningGateway> {
  if ((options?.configFile === undefined) === (options?.document === undefined))
    throw new TypeError('startGateway takes either `configFile` or `document`');
  // Until the configuration is read, what the environment alone says.
  const setting: LevelSetting = { level: logLevel(options.env ?? process.env) };
  const log = options.log ?? createLogger(setting);
  const primary = await Primary.start({
    load: {
      env: options.env ?? process.env,
      ...(options.configFile === undefined ? {} : { file: options.configFile }),
      ...(options.document === undefined ? {} : { document: options.document }),
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    },
    log,
    setLogLevel: (level, areas) => {
      setting.level = level;
      setting.areas = areas;
    },
    writeLog: options.writeLog ?? ((line) => standardError.write(`${line}\n`)),
    workerEntry: WORKER_ENTRY,
    ticketKeysId: TICKET_KEYS,
    createCache: (bytes) => new CacheAdmin(bytes),
    createLimits: (bytes) => allocateLimits(bytes),
    explain: explainRequest,
    features: FEATURES,
    takesOver: options.takesOver ?? false,
  });
  return {
    get addresses() {
      return primary.addresses();
    },
    reload: (reason = 'asked by the program') => primary.reload({ author: 'program', reason }),
    reopenLogs: () => primary.reopenLogs(),
    status: () => primary.opsSources(),
    stop: (stopOptions) => primary.stop(stopOptions?.timeoutMs),
    replaced: primary.replaced,
    primary,
  };
}

function logLevel(env: Environment): 'debug' | 'info' {
  return env['DEBUG'] === undefined || env['DEBUG'] === '' || env['DEBUG'] === 'false' || env['DEBUG'] === '0'
    ? 'info'
    : 'debug';
}
