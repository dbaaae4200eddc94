/** `gatehouse log-level`: another level of the process log of a running gateway for a while, of all or of one area. */
import { LOG_AREAS } from '../base/log.ts';
import { ADMIN_OPTIONS } from './admin-call.ts';
import type { Command } from './command.ts';
import { JSON_OPTION, UsageError } from './command.ts';
import { ended, set } from './operate.ts';

const LEVELS: readonly string[] = ['debug', 'info', 'warn', 'error'];
const DEFAULT_TIME = '30m';

export const logLevel: Command = {
  name: 'log-level',
  summary: 'change the level of the process log for a while, of all of it or of one area',
  usage: ['[AREA] LEVEL [--for TIME] --reason TEXT', '[AREA] reset'],
  description: `LEVEL is ${LEVELS.join(', ')}. AREA is one of ${LOG_AREAS.join(', ')}; without it the level of everything that has none of its own changes. It ends after --for, or by "reset": then the configuration (gateway.logLevel, gateway.logLevels) holds again.

  gatehouse log-level discovery debug --for 10m --reason "instances come and go"

Exit codes: 0 done, 2 the command line is wrong, 3 no gateway answers, 5 refused.`,
  options: {
    reason: { type: 'string', value: 'TEXT', meaning: 'why, for those who wonder later' },
    for: { type: 'string', value: 'TIME', meaning: `how long it holds; default ${DEFAULT_TIME}` },
    ...ADMIN_OPTIONS,
    json: JSON_OPTION,
  },
  arguments: { min: 1, max: 2 },
  async run(context) {
    const { positionals, options } = context;
    const level = positionals.at(-1) ?? '';
    const area = positionals.length === 2 ? positionals[0] : undefined;
    if (area !== undefined && !LOG_AREAS.some((each) => each === area))
      throw new UsageError(`"${area}" is not an area: ${LOG_AREAS.join(', ')}`);
    if (level === 'reset') return await ended(context, area === undefined ? '/log-level' : `/log-level?area=${area}`);
    if (!LEVELS.includes(level)) throw new UsageError(`"${level}" is not a level: ${LEVELS.join(', ')}, or reset`);
    const timed = { ...context, options: { for: DEFAULT_TIME, ...options } };
    return await set(timed, '/log-level', area === undefined ? { level } : { area, level });
  },
};
