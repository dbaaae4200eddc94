/**
 * The environment variables that stand for a key of the configuration. Precedence, highest first: environment variable,
 * file, default. An empty variable counts as not set. Features add theirs with their section (sections.ts).
 */

import { CONSOLE_VARIABLE } from '../console-variable.ts';
import { SECTIONS } from '../sections.ts';
import type { Place } from './problems.ts';
import type { SectionDefinition, VariableDefinition } from './section.ts';
import type { ConfigSource, Environment, EnvironmentValue } from './source.ts';
import { isMapping, pathId } from './source.ts';

function switchText(text: string): unknown {
  const lower = text.toLowerCase();
  if (lower === 'true' || lower === '1' || lower === 'yes' || lower === 'on') return true;
  if (lower === 'false' || lower === '0' || lower === 'no' || lower === 'off') return false;
  return text;
}

/** In order of application: of two that set one key, the later wins. */
const OWN_VARIABLES: readonly VariableDefinition[] = [
  { name: 'PORT', path: ['gateway', 'port'], meaning: 'Port of the gateway.' },
  { name: 'GATEWAY_PORT', path: ['gateway', 'port'], meaning: 'Port of the gateway; wins over `PORT`.' },
  { name: 'HOST', path: ['gateway', 'host'], meaning: 'Address to listen on.' },
  { name: 'WORKERS', path: ['gateway', 'workers'], meaning: 'Number of worker threads, or `auto`.' },
  {
    name: 'CLUSTER_MODE',
    path: ['gateway', 'clusterMode'],
    meaning: '`true`: one worker thread for each processor. `false`: one worker thread.',
    read: switchText,
  },
  {
    name: 'DEBUG',
    path: ['gateway', 'logLevel'],
    meaning: '`true` sets the log level to `debug`. Values other than a switch are left to other programs.',
    read: (text) => (switchText(text) === true ? 'debug' : undefined),
  },
  {
    name: 'LOG_LEVEL',
    path: ['gateway', 'logLevel'],
    meaning: 'Log level; wins over `DEBUG`.',
    read: (text) => text.toLowerCase(),
  },
  {
    name: 'SERVICE_TIMEOUT',
    path: ['gateway', 'serviceTimeout'],
    meaning: 'How long a service may take to start its answer, where the service itself says nothing.',
  },
];

/** Read where it is needed, and not a key of the file. */
export const PLAIN_VARIABLES = [
  {
    name: 'NODE_ENV',
    meaning: 'Name of the environment, for features that behave differently in development. Default `production`.',
  },
  {
    name: 'JWT_SECRET',
    meaning:
      'Secret of HS256 tokens, at least 32 bytes: the identity service signs with it (`identity.tokens.secret`); where that does not run, routes take tokens signed with it.',
  },
  { name: 'JWT_SECRET_KEY', meaning: 'The same as `JWT_SECRET`, which wins.' },
  {
    name: 'JWT_REFRESH_SECRET',
    meaning:
      'Key under which the identity service hashes refresh tokens (`identity.sessions.refreshSecret`), at least 32 bytes. A new value ends all sessions.',
  },
  {
    name: 'REQUIRE_MFA',
    meaning:
      '`true`: every account of the identity service needs a second factor. It can only add to `identity.mfa.required`.',
  },
  {
    name: 'GATEHOUSE_MASTER_KEY',
    meaning:
      'Seals signing keys and other secrets of the identity service (`identity.masterKey`), at least 32 bytes. Default: the file `identity.key` in the data folder.',
  },
  {
    name: CONSOLE_VARIABLE,
    meaning:
      '`1`: where the configuration has no `admin`, the console is on a free port of this machine alone. `gatehouse dev` sets it.',
  },
  {
    name: 'API_KEY_n',
    meaning:
      'An API key: `API_KEY_1="key:user:scope,scope:plan"`, `API_KEY_2` and so on. Scopes and plan may be left out.',
  },
] as const;

export function allVariables(): readonly VariableDefinition[] {
  return [
    ...OWN_VARIABLES,
    ...(SECTIONS as readonly SectionDefinition[]).flatMap((section) => section.variables ?? []),
  ];
}

/** Kubernetes tells a pod of every service beside it: `GATEWAY_PORT=tcp://10.0.0.1:80` for one called `gateway`. */
function isKubernetesLink(name: string, text: string): boolean {
  return name.endsWith('PORT') && /^(tcp|udp|sctp):\/\//.test(text);
}

/** The document with the variables in it; the given one stays as it is. */
export function withVariables(source: ConfigSource, env: Environment): ConfigSource {
  let value: unknown = source.value ?? {};
  const environmentValues = new Map(source.environmentValues);
  const setBy = new Map<string, string>();
  for (const { name, path, read } of allVariables()) {
    const text = env[name];
    if (text === undefined || text === '' || isKubernetesLink(name, text)) continue;
    const wanted = read === undefined ? text : read(text, env);
    if (wanted === undefined) continue;
    const next = setAt(value, path, wanted);
    if (next === undefined) continue;
    value = next;
    setBy.set(pathId(path), name);
    const whole = typeof wanted === 'string' ? wanted : undefined;
    const entry: EnvironmentValue = { path, variables: [name], whole, isMissing: false, isDeclared: true };
    environmentValues.set(pathId(path), entry);
  }
  if (setBy.size === 0) return source;
  return {
    file: source.file,
    value,
    environmentValues,
    place: (path, part) => {
      const name = setBy.get(pathId(path));
      const place: Place = { file: `environment variable ${name}`, line: null, column: null };
      return name === undefined ? source.place(path, part) : place;
    },
  };
}

/** Copies what lies on the way. Undefined when something there is not a mapping: the schema complains about that. */
function setAt(value: unknown, path: readonly string[], wanted: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return wanted;
  if (!isMapping(value)) return undefined;
  const inner = setAt(rest.length === 0 ? undefined : (value[key] ?? {}), rest, wanted);
  return inner === undefined ? undefined : { ...value, [key]: inner };
}
