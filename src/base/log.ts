/**
 * The process log: one JSON object a line on standard error, levels checked before fields are built.
 * It is for events (start, reload, a worker that died, a breaker that opened), a few a second at most; the access
 * log, thousands a second, has its own path (data/response/access-log.ts). Never give it a secret.
 */

import { standardError } from './process-output.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/**
 * Parts of the gateway whose level can be another one: `traffic` is what the worker threads log, the others are
 * features of the main thread. A line says its area.
 */
export const LOG_AREAS = [
  'admin',
  'api-pages',
  'auth',
  'cache',
  'certificates',
  'cluster',
  'discovery',
  'events',
  'grpc',
  'identity',
  'limits',
  'logs',
  'policies',
  'tracing',
  'traffic',
] as const;
export type LogArea = (typeof LOG_AREAS)[number];
export type AreaLevels = Readonly<Partial<Record<LogArea, LogLevel>>>;

export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined | readonly string[]>>;

/** A level that may change while the process runs; all loggers made with it follow. */
export interface LevelSetting {
  level: LogLevel;
  /** Of areas that have one of their own. */
  areas?: AreaLevels | undefined;
}

export interface Logger {
  readonly level: LogLevel;
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger that adds these fields to every line. */
  child(fields: LogFields): Logger;
}

/** Takes one finished line without its line feed. */
export type LogSink = (line: string) => void;

const stderrSink: LogSink = (line) => standardError.write(`${line}\n`);

export function createLogger(
  level: LogLevel | LevelSetting = 'info',
  sink: LogSink = stderrSink,
  bound: LogFields = {},
): Logger {
  const setting: LevelSetting = typeof level === 'string' ? { level } : level;
  const area = bound['area'] as LogArea | undefined;
  const least = (): LogLevel => (area === undefined ? undefined : setting.areas?.[area]) ?? setting.level;
  const write = (at: LogLevel, message: string, fields: LogFields | undefined): void => {
    if (LOG_LEVELS.indexOf(at) < LOG_LEVELS.indexOf(least())) return;
    sink(JSON.stringify({ time: new Date().toISOString(), level: at, message, ...bound, ...fields }));
  };
  return {
    get level() {
      return least();
    },
    debug: (message, fields) => write('debug', message, fields),
    info: (message, fields) => write('info', message, fields),
    warn: (message, fields) => write('warn', message, fields),
    error: (message, fields) => write('error', message, fields),
    child: (fields) => createLogger(setting, sink, { ...bound, ...fields }),
  };
}
