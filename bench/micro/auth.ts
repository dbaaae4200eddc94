/**
 * What a token costs per request: the `authenticate` hook of the `auth` policy with a cached token (the target), with
 * verification each time by algorithm, and the cache alone with the two keys that were weighed against each other. The
 * field value is cut anew from bytes for every request, as the engine does.
 */
import { hash } from 'node:crypto';
import { FakeClock, systemClock } from '../../src/base/clock.ts';
import { TokenCache } from '../../src/data/auth/jwt/token-cache.ts';
import { authSettings, issuerSettings, jwtSettings, SigningIssuer, secretToken } from '../../src/data/auth/testing.ts';
import type { JwtSettings } from '../../src/data/contract/auth.ts';
import { auth } from '../../src/data/policies/auth.ts';
import { createPolicy, RecordingExchange, testEnvironment } from '../../src/data/policies/testing.ts';
import { measure } from './measure.ts';
import type { Row } from './row.ts';

const TOKENS = 1_000;
const SECRET = 'a shared secret of 32 bytes or more';

/** An exchange that does no more than the hook asks of it: one field, cut from bytes. */
class FieldExchange extends RecordingExchange {
  bytes: Buffer = Buffer.alloc(0);

  override header(name: string): string | null {
    return name === 'authorization' ? this.bytes.latin1Slice(0, this.bytes.length) : null;
  }
}

export function run(): Row[] {
  const clock = new FakeClock(Date.now());
  const nowSeconds = Math.floor(clock.wallMs() / 1_000);
  const claims = (index: number) => ({
    iss: 'https://issuer.example',
    aud: 'api',
    sub: `user-${index}`,
    scope: 'projects:read projects:write',
    roles: ['user'],
    iat: nowSeconds,
    exp: nowSeconds + 3_600,
  });
  const rows: Row[] = [];

  const hookOf = (jwt: JwtSettings) =>
    createPolicy(auth, authSettings({ jwt }), { ...testEnvironment({ secrets: { s: SECRET } }), clock: systemClock })
      .authenticate!;
  const perRequest = (name: string, jwt: JwtSettings, tokens: readonly string[], atMost?: number): Row => {
    const hook = hookOf(jwt);
    const exchange = new FieldExchange();
    const fields = tokens.map((token) => Buffer.from(`Bearer ${token}`, 'latin1'));
    for (const field of fields) {
      exchange.bytes = field;
      exchange.identity = null;
      hook(exchange);
      if (exchange.identity === null) throw new Error(`${name}: the token was refused`);
    }
    const row = measure(name, (rounds) => {
      let sum = 0;
      for (let i = 0; i < rounds; i++) {
        exchange.bytes = fields[i % fields.length]!;
        hook(exchange);
        sum += exchange.identity!.subject.length;
      }
      return sum;
    });
    return atMost === undefined ? row : { ...row, atMost };
  };

  const es256 = new SigningIssuer('ES256');
  const tokens = Array.from({ length: TOKENS }, (_, index) => es256.token(claims(index)));
  const inline = issuerSettings({ keys: { kind: 'inline', keys: [es256.jwk] } });
  const note = `${TOKENS} tokens of ${tokens[0]!.length} B in rotation`;
  // The target of the issue, 2 us, in the unit of the table.
  rows.push({ ...perRequest('auth hook, cached token', jwtSettings([inline]), tokens, 2_000), note });

  const uncached = { cacheEntries: 0 };
  for (const algorithm of ['ES256', 'EdDSA', 'RS256'] as const) {
    const issuer = algorithm === 'ES256' ? es256 : new SigningIssuer(algorithm);
    const settings = jwtSettings([issuerSettings({ keys: { kind: 'inline', keys: [issuer.jwk] } })], uncached);
    rows.push(perRequest(`auth hook, ${algorithm} verified each time`, settings, [issuer.token(claims(0))]));
  }
  const shared = issuerSettings({ algorithms: ['HS256'], keys: { kind: 'secret', secret: 's', kid: null } });
  rows.push(
    perRequest('auth hook, HS256 verified each time', jwtSettings([shared], uncached), [
      secretToken(SECRET, claims(0)),
    ]),
  );

  const fields = tokens.map((token) => Buffer.from(`Bearer ${token}`, 'latin1'));
  const byText = new TokenCache<{ readonly validUntilMs: number }>(clock, 4 * TOKENS);
  const byDigest = new TokenCache<{ readonly validUntilMs: number }>(clock, 4 * TOKENS);
  const entry = { validUntilMs: Number.POSITIVE_INFINITY };
  for (const field of fields) {
    byText.set(field.latin1Slice(0, field.length), entry);
    byDigest.set(hash('sha256', field, 'base64url'), entry);
  }
  const cacheRow = (name: string, find: (field: Buffer) => object | undefined): Row =>
    measure(name, (rounds) => {
      let found = 0;
      for (let i = 0; i < rounds; i++) if (find(fields[i % TOKENS]!) !== undefined) found++;
      if (found !== rounds) throw new Error(`${name}: a miss`);
      return found;
    });
  rows.push(cacheRow('cache hit, key is the text', (field) => byText.get(field.latin1Slice(0, field.length), 1)));
  rows.push(cacheRow('cache hit, key is SHA-256', (field) => byDigest.get(hash('sha256', field, 'base64url'), 1)));
  return rows;
}
