/**
 * The user file of `basic`, one user a line, for setups that are too small for the identity service:
 *
 *     # name:hash, then what the user may, in any order
 *     alice:$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$… roles=admin,editor scopes=projects:read plan=premium
 *     bob:$scrypt$ln=15,r=8,p=1$c2FsdHNhbHRzYWx0$…
 *
 * Hashes are PHC strings; their cost is bounded here, so that a line cannot stop the gateway. Pure; control checks a
 * file with it, workers read it again. Hashing itself is in password.ts.
 */

export interface PasswordHash {
  readonly algorithm: 'argon2id' | 'scrypt';
  /** argon2id: KiB. scrypt: logarithm of N. */
  readonly memory: number;
  /** argon2id: passes. scrypt: block size r. */
  readonly passes: number;
  readonly parallelism: number;
  readonly salt: Buffer;
  readonly digest: Buffer;
}

export interface FileUser {
  readonly name: string;
  readonly hash: PasswordHash;
  readonly roles: readonly string[];
  readonly scopes: readonly string[];
  readonly plan: string | null;
}

export interface PasswordFile {
  readonly users: readonly FileUser[];
  /** Lower case, with the line's number, without what the line says. */
  readonly problems: readonly string[];
}

export function parsePasswordFile(text: string): PasswordFile {
  const users: FileUser[] = [];
  const problems: string[] = [];
  const names = new Set<string>();
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const user = parseLine(line);
    if (typeof user === 'string') problems.push(`line ${index + 1}: ${user}`);
    else if (names.has(user.name)) problems.push(`line ${index + 1}: the user is already on an earlier line`);
    else {
      names.add(user.name);
      users.push(user);
    }
  }
  if (users.length === 0 && problems.length === 0) problems.push('the file names no user');
  return { users, problems };
}

function parseLine(line: string): FileUser | string {
  const [head = '', ...items] = line.split(/\s+/);
  const colon = head.indexOf(':');
  if (colon <= 0) return 'a line starts with name:hash';
  const hash = parsePasswordHash(head.slice(colon + 1));
  if (typeof hash === 'string') return hash;
  const known: Record<'roles' | 'scopes' | 'plan', string> = { roles: '', scopes: '', plan: '' };
  for (const item of items) {
    const equals = item.indexOf('=');
    const name = item.slice(0, Math.max(equals, 0));
    if (name !== 'roles' && name !== 'scopes' && name !== 'plan')
      return 'after the hash come roles=, scopes= and plan=';
    known[name] = item.slice(equals + 1);
  }
  const list = (value: string): string[] => value.split(',').filter((entry) => entry !== '');
  return {
    name: head.slice(0, colon),
    hash,
    roles: list(known.roles),
    scopes: list(known.scopes),
    plan: known.plan === '' ? null : known.plan,
  };
}

/** The hash, or what is wrong with it. */
export function parsePasswordHash(text: string): PasswordHash | string {
  const argon = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/.exec(
    text,
  );
  const scrypt = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/.exec(text);
  const match = argon ?? scrypt;
  if (match === null)
    return 'the hash is not of the form $argon2id$v=19$m=,t=,p=$salt$hash or $scrypt$ln=,r=,p=$salt$hash';
  const [memory, passes, parallelism] = [Number(match[1]), Number(match[2]), Number(match[3])];
  const salt = Buffer.from(match[4]!, 'base64');
  const digest = Buffer.from(match[5]!, 'base64');
  if (salt.length < 8 || salt.length > 64) return 'the salt has 8 to 64 bytes';
  if (digest.length < 16 || digest.length > 64) return 'the hash has 16 to 64 bytes';
  const within = (value: number, least: number, most: number): boolean => value >= least && value <= most;
  const affordable =
    argon !== null
      ? within(parallelism, 1, 8) && within(passes, 1, 10) && within(memory, 8 * parallelism, 262_144)
      : within(memory, 10, 17) && within(passes, 1, 8) && within(parallelism, 1, 8);
  if (!affordable) {
    return argon !== null
      ? 'argon2id takes m from 8p to 262144, t from 1 to 10, p from 1 to 8'
      : 'scrypt takes ln from 10 to 17, r from 1 to 8, p from 1 to 8';
  }
  return { algorithm: argon !== null ? 'argon2id' : 'scrypt', memory, passes, parallelism, salt, digest };
}
