/**
 * API keys of the environment: `API_KEY_1="key:user:scope,scope:plan"`. Scopes may hold colons (`projects:read`), so
 * the key and the user stand before the first two colons and the plan after the last. Problems name the variable, never
 * its value. Read when a configuration is compiled.
 */

export interface WrittenKey {
  readonly id: string;
  readonly key: string;
  readonly subject: string;
  readonly roles: readonly string[];
  readonly scopes: readonly string[];
  readonly plan: string | null;
}

export interface EnvironmentKeys {
  readonly keys: readonly WrittenKey[];
  readonly problems: readonly string[];
}

/** Shorter ones are guessed in no time. The documents' own example has six characters. */
const MIN_KEY_LENGTH = 6;
const SCOPE = /^[\x21\x23-\x2b\x2d-\x5b\x5d-\x7e]{1,200}$/;
/** As data/auth/methods/api-key.ts takes keys: visible characters without a comma. */
const KEY = /^[\x21-\x2b\x2d-\x7e]{1,512}$/;

export function environmentKeys(env: Readonly<Record<string, string | undefined>>): EnvironmentKeys {
  const keys: WrittenKey[] = [];
  const problems: string[] = [];
  const names = Object.keys(env).filter((name) => /^API_KEY_\d+$/.test(name));
  for (const name of names.sort((a, b) => Number(a.slice(8)) - Number(b.slice(8)))) {
    const value = env[name];
    if (value === undefined || value === '') continue;
    const key = parseKey(name, value);
    if (typeof key === 'string') problems.push(key);
    else keys.push(key);
  }
  return { keys, problems };
}

function parseKey(name: string, value: string): WrittenKey | string {
  const [key = '', subject = '', ...rest] = value.split(':');
  const plan = rest.length > 1 ? (rest.pop() ?? '') : '';
  const scopes = rest
    .join(':')
    .split(',')
    .filter((scope) => scope !== '');
  if (rest.length === 0 || subject === '' || key.length < MIN_KEY_LENGTH || !KEY.test(key))
    return `${name} must read key:user:scope,scope:plan, with six characters of key or more`;
  if (!scopes.every((scope) => SCOPE.test(scope))) return `${name} has a scope with blanks or quotes`;
  return { id: name, key, subject, roles: [], scopes, plan: plan === '' ? null : plan };
}
