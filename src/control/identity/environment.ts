/**
 * The environment variables of the identity service, laid over its section of the configuration. Each is checked
 * like the setting it stands for: one that cannot be honoured stops the start.
 */

import type { IdentityOptions, IdentitySection } from './options.ts';
import { plansOf } from './plans.ts';

/** `iss` where nobody said otherwise: it must not change with the port of a trial. */
export const DEFAULT_ISSUER = 'http://127.0.0.1:8000';

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * JWT_SECRET or JWT_SECRET_KEY (HS256 and its key, at least 32 bytes), JWT_REFRESH_SECRET, REQUIRE_MFA, DATABASE_URL,
 * GATEHOUSE_MASTER_KEY. What the section sets itself wins, except REQUIRE_MFA=true, which can only add.
 * `localUrl` stands for `publicUrl` where that is not set.
 * Throws a TypeError that names the variable and never repeats its value.
 */
export function withEnvironment(
  section: IdentitySection,
  environment: Environment,
  localUrl = DEFAULT_ISSUER,
): IdentityOptions {
  const tokens = { ...section.tokens };
  const name = set(environment['JWT_SECRET']) ? 'JWT_SECRET' : 'JWT_SECRET_KEY';
  const jwtSecret = strong(environment, name);
  // Documents of the systems that bring JWT_SECRET verify with the shared secret, so it decides unless the configuration says otherwise.
  if (jwtSecret !== undefined) {
    tokens.secret ??= jwtSecret;
    tokens.algorithm ??= 'HS256';
  }
  tokens.algorithm ??= 'ES256';
  if (tokens.algorithm === 'HS256' && tokens.secret === undefined) {
    throw new TypeError('identity.tokens.algorithm is HS256, which needs identity.tokens.secret or JWT_SECRET');
  }
  const sessions = { ...section.sessions };
  sessions.refreshSecret ??= strong(environment, 'JWT_REFRESH_SECRET');
  const store = section.store ?? environment['DATABASE_URL'];
  const masterKey = section.masterKey ?? strong(environment, 'GATEHOUSE_MASTER_KEY');
  return {
    ...section,
    ...plansOf(section),
    publicUrl: section.publicUrl ?? localUrl,
    errorFormat: section.errorFormat ?? 'problem',
    issuer: section.issuer ?? (section.publicUrl ?? DEFAULT_ISSUER).replace(/\/$/, ''),
    tokens,
    sessions,
    mfa: { ...section.mfa, required: section.mfa.required || flag(environment, 'REQUIRE_MFA') },
    ...(set(store) ? { store } : {}),
    ...(masterKey === undefined ? {} : { masterKey }),
  };
}

function set(value: string | undefined): value is string {
  return value !== undefined && value !== '';
}

function strong(environment: Environment, name: string): string | undefined {
  const value = environment[name];
  if (!set(value)) return undefined;
  if (Buffer.byteLength(value) < 32) {
    throw new TypeError(
      `${name} has ${Buffer.byteLength(value)} bytes; it must have at least 32 (openssl rand -base64 48)`,
    );
  }
  return value;
}

function flag(environment: Environment, name: string): boolean {
  const value = environment[name]?.toLowerCase() ?? '';
  if (['true', '1', 'yes', 'on'].includes(value)) return true;
  if (['', 'false', '0', 'no', 'off'].includes(value)) return false;
  throw new TypeError(`${name} must be true or false, not "${value}"`);
}
