/**
 * API keys from the environment: `API_KEY_1="key:user:scope,scope:plan"`. Kept by their SHA-256 only. A line that does
 * not read stops the start and is named by its variable, never shown.
 */
import type { Environment } from '../environment.ts';
import { hashOfKey } from './format.ts';

export interface EnvironmentKey {
  readonly id: string;
  readonly subject: string;
  readonly scopes: readonly string[];
  readonly plan: string | null;
}

/** Shorter ones are guessed in no time. The documents' own example has six characters. */
const MIN_KEY_LENGTH = 6;
const SCOPE = /^[\x21\x23-\x2b\x2d-\x5b\x5d-\x7e]{1,100}$/;

export function environmentKeys(environment: Environment): Map<string, EnvironmentKey> {
  const keys = new Map<string, EnvironmentKey>();
  for (const [name, value] of Object.entries(environment)) {
    if (!/^API_KEY_\d+$/.test(name) || value === undefined || value === '') continue;
    const parts = splitKey(value);
    if (parts === undefined)
      throw new TypeError(`${name} must read key:user:scope,scope:plan, with six characters of key or more`);
    const hash = hashOfKey(parts.key);
    if (keys.has(hash)) throw new TypeError(`${name} repeats the key of another API_KEY_n`);
    keys.set(hash, {
      id: `env-${name.slice('API_KEY_'.length)}`,
      subject: parts.user,
      scopes: parts.scopes,
      plan: parts.plan,
    });
  }
  return keys;
}

function splitKey(value: string): { key: string; user: string; scopes: string[]; plan: string | null } | undefined {
  // Scopes may hold colons (`projects:read`): the key and the user stand before the first two, the plan after the last.
  const [key = '', user = '', ...rest] = value.split(':');
  const plan = rest.length > 1 ? (rest.pop() ?? '') : '';
  const scopes = rest
    .join(':')
    .split(',')
    .filter((scope) => scope !== '');
  if (key.length < MIN_KEY_LENGTH || user === '' || rest.length === 0 || !scopes.every((scope) => SCOPE.test(scope)))
    return undefined;
  return { key, user, scopes, plan: plan === '' ? null : plan };
}
