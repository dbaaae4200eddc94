/** The command line of `bench/run.ts`: what may be asked for, defaults, and refusals with a reason. */
import { parseArgs } from 'node:util';
import { type CaseId, caseIds } from './lib/cases.ts';

export const jobNames = [
  'plain',
  'connections',
  'sizes',
  'tls',
  'http2',
  'grpc',
  'websocket',
  'idle',
  'idle-http2',
  'gateway',
  'cache',
] as const;
export type JobName = (typeof jobNames)[number];

export interface Options {
  readonly jobs: readonly JobName[];
  readonly rounds: number;
  readonly seconds: number;
  readonly connections: number;
  readonly idleConnections: number;
  /** Names of proxies; undefined for all. */
  readonly peers: readonly string[] | undefined;
  /** Bodies for the jobs that have several; undefined for the job's own. */
  readonly bodies: readonly CaseId[] | undefined;
  /** Where to write the results; undefined for a file named by date under `bench/results/local`. */
  readonly json: string | undefined;
  readonly smoke: boolean;
  readonly keep: boolean;
  readonly help: boolean;
}

export const usage = `npx node bench/run.ts [options]

  --job NAME         ${jobNames.join(' | ')} | all, or several with commas (default plain)
  --rounds N         rounds per case, each measuring every proxy once (default 8)
  --seconds N        length of one measurement (default 2)
  --peers a,b        only these proxies (gatehouse and the reference are not added)
  --bodies a,b       ${caseIds.join(' | ')}: bodies of the jobs plain, connections, sizes, tls and cache
  --connections N    keep-alive connections, at most 32 of them for 1 MB bodies (default 64)
  --idle N           connections of the idle jobs (default 10000)
  --json FILE        where results go; a Markdown table is written beside it (default bench/results/local/...)
  --smoke            half a second each, gatehouse and node:http only, proves that answers are right; exit 1 if not
  --keep             keep the temporary folder with configurations and logs
`;

/** Throws a TypeError that says what was wrong. */
export function parseOptions(argv: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      job: { type: 'string' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      peers: { type: 'string' },
      bodies: { type: 'string' },
      connections: { type: 'string' },
      idle: { type: 'string' },
      json: { type: 'string' },
      smoke: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const { smoke } = values;
  return {
    jobs: jobs(values.job ?? (smoke ? 'all' : 'plain')),
    rounds: positive('rounds', values.rounds ?? (smoke ? '1' : '8'), true),
    seconds: positive('seconds', values.seconds ?? (smoke ? '0.5' : '2'), false),
    connections: positive('connections', values.connections ?? (smoke ? '16' : '64'), true),
    idleConnections: positive('idle', values.idle ?? (smoke ? '200' : '10000'), true),
    peers: values.peers?.split(','),
    bodies: values.bodies === undefined ? undefined : bodies(values.bodies),
    json: values.json,
    smoke,
    keep: values.keep,
    help: values.help,
  };
}

function jobs(text: string): JobName[] {
  return text === 'all' ? [...jobNames] : oneOf('job', text, jobNames);
}

function bodies(text: string): CaseId[] {
  return oneOf('bodies', text, caseIds);
}

function oneOf<T extends string>(option: string, text: string, known: readonly T[]): T[] {
  const names = text.split(',');
  const unknown = names.find((name) => !(known as readonly string[]).includes(name));
  if (unknown !== undefined) throw new TypeError(`--${option}: '${unknown}' is none of ${known.join(', ')}`);
  return names as T[];
}

function positive(option: string, text: string, whole: boolean): number {
  const value = Number(text);
  if (text.trim() !== '' && value > 0 && Number.isFinite(value) && (!whole || Number.isInteger(value))) return value;
  throw new TypeError(`--${option}: '${text}' is not a ${whole ? 'whole ' : ''}number above 0`);
}
