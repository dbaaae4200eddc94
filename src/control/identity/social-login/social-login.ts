/**
 * Signing in with an outside OpenID provider, through openid-client: code flow with PKCE, state and nonce, bound to
 * the browser by a cookie. Accounts are linked only when that is safe (docs/identity-rules.md, 9): from a signed-in
 * session, or when the provider vouches for an address that is verified here as well.
 */
import { hash } from 'node:crypto';
import type { Configuration } from 'openid-client';
import { Encryption } from '../../secrets/encryption.ts';
import { randomSecret } from '../../secrets/random-token.ts';
import { isUniqueViolation } from '../../store/faults.ts';
import { languageOfCaller } from '../accounts/language.ts';
import { completeSignIn, secondFactorNeeded } from '../accounts/sign-in.ts';
import { findById, findByLogin, insertUser } from '../accounts/users.ts';
import type { Caller } from '../caller.ts';
import type { IdentityContext } from '../context.ts';
import { email as emailField } from '../fields.ts';
import { factorsOf } from '../mfa/factors.ts';
import { conflict, forbidden, notFound, Problem, unavailable } from '../problem.ts';
import type { TokenAnswer } from '../responses.ts';
import type { User } from '../tables.ts';

const STATE_TTL_MS = 10 * 60_000;
const STATE_BOUND = 'outside-state';
const RESULT_TTL_MS = 2 * 60_000;
const DISCOVERY_TTL_MS = 3_600_000;

/** What begins lies sealed in the browser's cookie and nowhere here: beginning without end fills no table. */
interface State {
  /** What the provider gives back. */
  readonly state: string;
  readonly untilMs: number;
  readonly provider: string;
  readonly nonce: string;
  readonly verifier: string;
  readonly returnTo: string;
  /** Account that links from its session; null for a sign-in. */
  readonly linkTo: string | null;
  /** Of the page that began, which proves itself by what it was made of; without it, a cookie does. */
  readonly challenge?: string | undefined;
}

/** With the one-time code: what only the browser that began can show. */
interface Result {
  readonly amr: readonly string[];
  /** SHA-256 in base64url of the verifier or of the cookie. */
  readonly challenge: string;
  readonly by: 'verifier' | 'cookie';
}

export interface Wanted {
  readonly returnTo: string;
  readonly challenge?: string | undefined;
}

export interface Finished {
  /** Where to send the browser. */
  readonly location: string;
  /** For the cookie with which the browser proves that it began; undefined where the page does by a verifier. */
  readonly secret?: string;
}

const sha256 = (text: string): string => hash('sha256', text, 'base64url');

export interface Begun {
  readonly location: string;
  /** For the cookie that binds the answer to this browser; sealed. */
  readonly cookie: string;
}

export class SocialLogin {
  readonly #context: IdentityContext;
  readonly #encryption: Encryption;
  readonly #found = new Map<string, { configuration: Configuration; until: number }>();

  constructor(context: IdentityContext) {
    this.#context = context;
    this.#encryption = new Encryption(context.master.derive('outside-state'));
  }

  async begin(provider: string, { returnTo, challenge }: Wanted, linkTo: string | null): Promise<Begun> {
    const { clock, options } = this.#context;
    if (!options.returnTo.includes(returnTo)) {
      throw new Problem(400, 'VALIDATION_ERROR', 'invalid_input', 'the request is not valid', {
        fields: [
          { field: 'returnTo', value: JSON.stringify(returnTo.slice(0, 200)), expected: 'one of identity.returnTo' },
        ],
      });
    }
    const library = await import('openid-client');
    const configuration = await this.#configuration(provider);
    const verifier = library.randomPKCECodeVerifier();
    const state = randomSecret();
    const untilMs = clock.wallMs() + STATE_TTL_MS;
    const payload: State = {
      state,
      untilMs,
      provider,
      nonce: library.randomNonce(),
      verifier,
      returnTo,
      linkTo,
      challenge,
    };
    const location = library.buildAuthorizationUrl(configuration, {
      redirect_uri: this.redirectUri(provider),
      scope: this.#options(provider).scopes.join(' '),
      code_challenge: await library.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      state,
      nonce: payload.nonce,
    });
    return { location: location.href, cookie: this.#encryption.encrypt(JSON.stringify(payload), STATE_BOUND) };
  }

  /** Takes the provider's answer; the browser goes back with a one-time code or an error. */
  async finish(provider: string, url: URL, cookie: string | undefined, caller: Caller): Promise<Finished> {
    const { clock, codes, store } = this.#context;
    const state = url.searchParams.get('state') ?? '';
    const begun = this.#open(cookie);
    // Another browser's answer (login CSRF): the cookie must name the same flow.
    if (begun === undefined || begun.state !== state)
      throw forbidden('this sign-in was begun elsewhere', 'foreign_sign_in');
    const isOver = begun.untilMs <= clock.wallMs() || begun.provider !== provider;
    if (isOver || !(await codes.spend(store.db, 'outside-state', state, STATE_TTL_MS)))
      throw forbidden('this sign-in is over; begin again', 'sign_in_over');
    const back = new URL(begun.returnTo);
    const secret = begun.challenge === undefined ? randomSecret() : undefined;
    try {
      const user = await this.#userOf(provider, begun, url, state, caller);
      // A code alone would let a page sign its visitors in to the account of whoever made the page (login CSRF).
      const payload: Result = {
        amr: ['fed'],
        challenge: secret === undefined ? (begun.challenge ?? '') : sha256(secret),
        by: secret === undefined ? 'verifier' : 'cookie',
      };
      const about = { userId: user.id, payload, ttlMs: RESULT_TTL_MS };
      const code = await codes.issue(store.db, 'outside-result', about);
      // In the fragment: it does not reach logs, nor a Referer field.
      back.hash = new URLSearchParams({ code }).toString();
      return { location: back.href, ...(secret === undefined ? {} : { secret }) };
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      back.hash = new URLSearchParams({ error: error.reason, error_description: error.message }).toString();
    }
    return { location: back.href };
  }

  /** The application's page exchanges the one-time code for tokens; only in the browser that began. */
  async exchange(
    code: string,
    proof: { readonly verifier: string | undefined; readonly cookie: string | undefined },
    caller: Caller,
  ): Promise<{ user: User; tokens: TokenAnswer }> {
    const { codes, store } = this.#context;
    const used = await codes.use(store.db, 'outside-result', code);
    const user = used?.userId == null ? undefined : await findById(store.db, used.userId);
    if (used === undefined || user === undefined)
      throw new Problem(400, 'VALIDATION_ERROR', 'invalid_code', 'the code is wrong, expired or was used before');
    const { challenge, by } = used.payload as Result;
    const shown = proof[by];
    if (shown === undefined || sha256(shown) !== challenge)
      throw forbidden('this sign-in was begun elsewhere', 'foreign_sign_in');
    const factors = await factorsOf(store.db, user.id);
    if (factors.length > 0)
      throw await secondFactorNeeded(this.#context, user, factors, { amr: ['fed'], scopes: null });
    const tokens = await completeSignIn(this.#context, user, { amr: ['fed'], mfaAt: null, scopes: null }, caller);
    return { user, tokens };
  }

  #open(cookie: string | undefined): State | undefined {
    try {
      return cookie === undefined ? undefined : (JSON.parse(this.#encryption.decrypt(cookie, STATE_BOUND)) as State);
    } catch {
      return undefined;
    }
  }

  redirectUri(provider: string): string {
    const { publicUrl, basePath } = this.#context.options;
    return new URL(`${basePath}/outside/${provider}/callback`, publicUrl).href;
  }

  #options(provider: string) {
    const found = Object.hasOwn(this.#context.options.providers, provider)
      ? this.#context.options.providers[provider]
      : undefined;
    if (found === undefined) throw notFound('provider');
    return found;
  }

  async #configuration(provider: string): Promise<Configuration> {
    const options = this.#options(provider);
    const now = this.#context.clock.monotonicMs();
    const known = this.#found.get(provider);
    if (known !== undefined && known.until > now) return known.configuration;
    const library = await import('openid-client');
    const { clientId, clientSecret, issuer, allowInsecure } = options;
    try {
      const configuration = await library.discovery(
        new URL(issuer),
        clientId,
        clientSecret,
        clientSecret === undefined ? library.None() : undefined,
        {
          timeout: 10,
          ...(allowInsecure ? { execute: [library.allowInsecureRequests] } : {}),
        },
      );
      this.#found.set(provider, { configuration, until: now + DISCOVERY_TTL_MS });
      return configuration;
    } catch {
      throw unavailable('the provider cannot be reached', 10);
    }
  }

  async #userOf(provider: string, begun: State, url: URL, state: string, caller: Caller): Promise<User> {
    const library = await import('openid-client');
    const configuration = await this.#configuration(provider);
    // The public address is what the provider was given, whatever Host says here.
    const answer = new URL(this.redirectUri(provider));
    answer.search = url.search;
    const tokens = await library
      .authorizationCodeGrant(configuration, answer, {
        expectedState: state,
        expectedNonce: begun.nonce,
        pkceCodeVerifier: begun.verifier,
        idTokenExpected: true,
      })
      .catch(() => undefined); // whatever did not fit is for the provider's log, not for the page
    const claims = tokens?.claims();
    if (tokens === undefined || claims === undefined)
      throw forbidden('the provider did not vouch for you', 'outside_refused');
    let { email, email_verified: verified } = claims as { email?: unknown; email_verified?: unknown };
    if (email === undefined) {
      const info = await library.fetchUserInfo(configuration, tokens.access_token, claims.sub).catch(() => undefined);
      ({ email, email_verified: verified } = info ?? {});
    }
    const checked = emailField.safeParse(email);
    const trusted = this.#options(provider).trustEmail && verified === true;
    return await this.#link(provider, claims.sub, checked.success ? checked.data : null, trusted, begun.linkTo, caller);
  }

  async #link(
    provider: string,
    subject: string,
    email: string | null,
    emailTrusted: boolean,
    linkTo: string | null,
    caller: Caller,
  ): Promise<User> {
    const context = this.#context;
    const { address, requestId } = caller;
    return await context.store.transaction(async (trx) => {
      const linked = await trx
        .selectFrom('linked_accounts')
        .selectAll()
        .where('provider', '=', provider)
        .where('subject', '=', subject)
        .executeTakeFirst();
      if (linked !== undefined) {
        if (linkTo !== null && linkTo !== linked.user_id)
          throw conflict('linked_elsewhere', 'this outside account belongs to another account');
        const user = await findById(trx, linked.user_id);
        if (user === undefined || user.status !== 'active')
          throw forbidden('the account may not sign in', 'account_disabled');
        return user;
      }
      let user = linkTo === null ? undefined : await findById(trx, linkTo);
      if (linkTo === null) {
        const holder = email === null ? undefined : await findByLogin(trx, email);
        if (holder !== undefined) {
          // Verified on both sides, or anybody could take an account over by its address (pre-account hijacking).
          if (!emailTrusted || holder.email_verified_at === null) {
            throw conflict(
              'link_needs_sign_in',
              'an account with this address exists: sign in to it and link from there',
            );
          }
          user = holder;
        } else {
          if (!context.options.registration.open)
            throw forbidden('accounts are made by administrators here', 'registration_closed');
          const names = emailTrusted ? { email, emailVerified: true } : {};
          const language = languageOfCaller(context, caller);
          const roles = context.options.defaultRoles;
          user = await insertUser(context, trx, { kind: 'user', ...names, roles, language });
          await context.audit.append(trx, {
            actor: user.id,
            action: 'user.created',
            target: user.id,
            address,
            requestId,
            detail: { provider },
          });
        }
      }
      if (user === undefined || user.status !== 'active' || user.kind !== 'user')
        throw forbidden('the account may not be linked', 'not_linkable');
      try {
        const row = { provider, subject, user_id: user.id, email, created_at: context.clock.wallMs() };
        await trx.insertInto('linked_accounts').values(row).execute();
        // Whoever had this address before, if it was another, learns of the new way in.
        await context.mails.tell(trx, user, 'linkAdded', { provider });
      } catch (error) {
        if (isUniqueViolation(error))
          throw conflict('linked_elsewhere', 'the account was linked a moment ago; try again');
        throw error;
      }
      await context.audit.append(trx, {
        actor: user.id,
        action: 'outside.linked',
        target: user.id,
        address,
        requestId,
        detail: { provider },
      });
      return user;
    });
  }
}
