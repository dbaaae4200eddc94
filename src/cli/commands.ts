/** Every command, in the order of the help. To add one, write its file and add it here. */
import { ban } from './ban.ts';
import { cache } from './cache.ts';
import { certificates } from './certificates.ts';
import { check } from './check.ts';
import { cluster } from './cluster.ts';
import type { Command } from './command.ts';
import { completionOf } from './completion.ts';
import { dashboards } from './dashboards.ts';
import { dev } from './dev.ts';
import { events } from './events.ts';
import { exportCommand } from './export.ts';
import { audit, identity, key, migrate, token, user } from './identity-commands.ts';
import { importConfiguration } from './import.ts';
import { init } from './init.ts';
import { instance } from './instance.ts';
import { limit } from './limit.ts';
import { limits } from './limits.ts';
import { logLevel } from './log-level.ts';
import { breaker, openConsole } from './operate.ts';
import { reload } from './reload.ts';
import { history, rollback } from './rollback.ts';
import { routes } from './routes.ts';
import { session } from './session.ts';
import { start } from './start.ts';
import { status } from './status.ts';
import { usage } from './usage.ts';

export const COMMANDS: readonly Command[] = [
  start,
  dev,
  check,
  init,
  importConfiguration,
  routes,
  exportCommand,
  dashboards,
  reload,
  rollback,
  history,
  status,
  instance,
  breaker,
  logLevel,
  openConsole,
  user,
  key,
  session,
  token,
  identity,
  limits,
  audit,
  migrate,
  ban,
  limit,
  usage,
  cache,
  certificates,
  cluster,
  events,
  completionOf(() => COMMANDS),
];
