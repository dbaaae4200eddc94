/**
 * Basic authentication (RFC 7617) against a user file. A right or wrong answer is remembered for seconds under a keyed
 * digest of the whole field, so the password itself is in no map. An unknown user costs what a known one costs.
 * Owner: one worker.
 */
import { createHmac, randomBytes } from 'node:crypto';
import type { Clock } from '../../../base/clock.ts';
import { messageOf } from '../../../base/errors.ts';
import { SingleFlight } from '../../../base/single-flight.ts';
import type { BasicSettings } from '../../contract/auth.ts';
import type { Identity, PolicyContext } from '../../contract/policy.ts';
import type { Secrets } from '../../contract/snapshot.ts';
import { PreparedIdentity } from '../identity.ts';
import type { HeaderMaker } from '../identity-headers.ts';
import { TokenCache } from '../jwt/token-cache.ts';
import { type AuthMethod, type Refusal, Unavailable, type Verdict } from './method.ts';
import { PasswordChecker } from './password.ts';
import { type FileUser, parsePasswordFile } from './password-file.ts';

const MAX_FIELD_LENGTH = 2_048;
const BASIC = /^basic +([A-Za-z0-9+/]+={0,2})$/i;
const BASIC_SCHEME = /^basic(?: |$)/i;

interface Judged {
  readonly verdict: Identity | Refusal;
  readonly validUntilMs: number;
}

export class BasicMethod implements AuthMethod {
  readonly cache: TokenCache<Judged>;
  readonly #clock: Clock;
  readonly #headers: HeaderMaker;
  readonly #users = new Map<string, FileUser>();
  /** Whose hash is computed for names that do not exist; its result counts for nothing. */
  readonly #decoy: FileUser;
  readonly #salt = randomBytes(32);
  readonly #checker = new PasswordChecker();
  readonly #flights = new SingleFlight<Identity | Refusal | Unavailable>(Number.POSITIVE_INFINITY);

  constructor(settings: BasicSettings, secrets: Secrets, clock: Clock, headers: HeaderMaker) {
    this.#clock = clock;
    this.#headers = headers;
    this.cache = new TokenCache(clock, settings.cacheEntries, settings.cacheMs);
    const { users, problems } = parsePasswordFile(secrets[settings.users] ?? '');
    const [first] = users;
    if (first === undefined || problems.length > 0) throw new TypeError(`user file: ${problems.join('; ')}`);
    for (const user of users) this.#users.set(user.name, user);
    this.#decoy = first;
  }

  authenticate(exchange: PolicyContext): Verdict | Promise<Verdict> {
    const field = exchange.header('authorization');
    if (field === null || !BASIC_SCHEME.test(field)) return null;
    if (field.length > MAX_FIELD_LENGTH) return 'oversized';
    const encoded = BASIC.exec(field)?.[1];
    if (encoded === undefined) return 'malformed';
    const text = Buffer.from(encoded, 'base64').toString('utf8');
    const colon = text.indexOf(':');
    if (colon < 0 || text.includes('\ufffd')) return 'malformed';
    const cacheKey = createHmac('sha256', this.#salt).update(text).digest('base64url');
    const known = this.cache.get(cacheKey, this.#clock.wallMs());
    if (known !== undefined) return known.verdict;
    const flight = this.#flights.join(cacheKey, () =>
      this.#check(text.slice(0, colon), text.slice(colon + 1), cacheKey),
    );
    return flight ?? new Unavailable('too many passwords in question');
  }

  hide(exchange: PolicyContext): void {
    const field = exchange.header('authorization');
    if (field !== null && BASIC_SCHEME.test(field)) exchange.removeUpstreamHeader('authorization');
  }

  challenge(realm: string): string {
    return `Basic realm="${realm}", charset="UTF-8"`;
  }

  async #check(name: string, password: string, cacheKey: string): Promise<Identity | Refusal | Unavailable> {
    const user = this.#users.get(name);
    const checked = this.#checker.check(password, (user ?? this.#decoy).hash);
    if (checked === null) return new Unavailable('too many passwords in question');
    let right: boolean;
    try {
      right = (await checked) && user !== undefined;
    } catch (error) {
      return new Unavailable(`password: ${messageOf(error)}`);
    }
    const verdict = right && user !== undefined ? this.#identityOf(user) : 'wrong_password';
    const validUntilMs = this.cache.validUntilMs(this.#clock.wallMs(), Number.POSITIVE_INFINITY);
    this.cache.set(cacheKey, { verdict, validUntilMs });
    return verdict;
  }

  #identityOf({ name, roles, scopes, plan }: FileUser): Identity {
    return new PreparedIdentity({ method: 'basic', subject: name, roles, scopes, plan }, { sub: name }, this.#headers);
  }
}
