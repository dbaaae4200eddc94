/**
 * `auth`: who is calling. Runs the configured ways to authenticate, turns refusals into one 401 that never says why,
 * gives the exchange its identity, and then checks what the route asks of it (scopes, roles, second factor). The ways
 * themselves are in data/auth/. A request with a cached token passes without a promise or an object.
 */
import { FAULTS, Fault } from '../../base/errors.ts';
import { RequirementCheck } from '../auth/authorize/requirements.ts';
import { type HeaderMaker, noHeaders, plainHeaders, signedHeaders } from '../auth/identity-headers.ts';
import { JwtVerifier } from '../auth/jwt/jwt-verifier.ts';
import { ApiKeyJudge, ApiKeyMethod } from '../auth/methods/api-key.ts';
import { BasicMethod } from '../auth/methods/basic.ts';
import { BearerMethod } from '../auth/methods/bearer.ts';
import { ExternalMethod } from '../auth/methods/external.ts';
import { Introspector } from '../auth/methods/introspector.ts';
import { type AuthMethod, PassedReply, type Refusal, Unavailable, type Verdict } from '../auth/methods/method.ts';
import { MtlsMethod } from '../auth/methods/mtls.ts';
import { methodsOf, TicketMethod } from '../auth/methods/ticket.ts';
import { AuthWorkerState, type Shared, settingsKey } from '../auth/worker-state.ts';
import type { AuthSettings } from '../contract/auth.ts';
import {
  definePolicy,
  type Outcome,
  type PolicyContext,
  type PolicyEnvironment,
  type PolicyHook,
  type PolicyHooks,
} from '../contract/policy.ts';

/** The route may ask for nothing; the account must still have a second factor first. */
const ENROL_FIRST = new Fault(FAULTS.mfaRequired, { cause: 'enrol_mfa' });

/** Seconds after which a caller may try again when somebody who must be asked is away. */
const RETRY_AFTER_SECONDS = 5;

export const auth = definePolicy<AuthSettings>({
  name: 'auth',
  phases: ['authenticate', 'authorize'],
  create(settings, environment) {
    const state = AuthWorkerState.of(environment);
    const releases: (() => void)[] = [];
    const dispose = (): void => {
      for (const release of releases.splice(0)) release();
    };
    try {
      const methods = createMethods(settings, environment, (kind, own, make) => {
        const key = settingsKey(kind, [own, settings.forward], environment.secrets);
        const { thing, release } = state.acquire(key, make);
        releases.push(release);
        return thing;
      });
      return { ...createHooks(settings, environment, methods), dispose };
    } catch (error) {
      dispose();
      throw error;
    }
  },
});

type Share = <T extends Shared>(kind: string, settings: unknown, make: () => T) => T;

/** In the order in which they look at a request. */
function createMethods(settings: AuthSettings, environment: PolicyEnvironment, share: Share): AuthMethod[] {
  const { jwt, introspect, apiKey, basic, mtls, external, ticketParameter } = settings;
  const { clock, control, secrets } = environment;
  const headers = headerMaker(settings, environment);
  const methods: AuthMethod[] = [];
  // Before cookies, which a browser sends whether they are meant or not.
  if (ticketParameter !== null) {
    const { revocations } = AuthWorkerState.of(environment);
    const parts = { parameter: ticketParameter, methods: methodsOf(settings, secrets), control, clock, headers };
    methods.push(new TicketMethod({ ...parts, revocations }));
  }
  if (jwt !== null || introspect !== null) {
    const state = AuthWorkerState.of(environment);
    const verifier =
      jwt === null
        ? null
        : share('jwt', jwt, () => {
            const parts = { secrets, store: state.keys, revocations: state.revocations, clock, headers };
            return new JwtVerifier(jwt, parts);
          });
    const introspector =
      introspect === null
        ? null
        : share('introspect', introspect, () => new Introspector(introspect, control, clock, headers));
    const sources = jwt?.sources ?? introspect?.sources ?? [];
    methods.push(new BearerMethod(sources, verifier, introspector, control, clock));
  }
  if (apiKey !== null) {
    const judge = share('apiKey', apiKey, () => {
      return new ApiKeyJudge(apiKey, secrets, control, clock, headers);
    });
    methods.push(new ApiKeyMethod(apiKey, judge));
  }
  if (basic !== null) {
    methods.push(share('basic', basic, () => new BasicMethod(basic, secrets, clock, headers)));
  }
  if (mtls !== null) methods.push(share('mtls', mtls, () => new MtlsMethod(mtls, clock, headers)));
  if (external !== null) {
    methods.push(share('external', external, () => new ExternalMethod(external, control, clock, headers)));
  }
  return methods;
}

function createHooks(
  settings: AuthSettings,
  environment: PolicyEnvironment,
  methods: readonly AuthMethod[],
): PolicyHooks {
  const refusals = new Refusals(settings.realm, methods);
  const all = settings.mode === 'all';
  const [only] = methods;

  /** What a verdict that ends the search means for the exchange. */
  const conclude = (exchange: PolicyContext, verdict: Verdict): Outcome => {
    if (verdict === null) return settings.optional ? undefined : refusals.missing;
    if (typeof verdict === 'string') return refusals.of(verdict);
    if (verdict instanceof Unavailable) return refusals.unavailable(verdict);
    if (verdict instanceof PassedReply) return verdict.reply;
    if (verdict.mustEnrol === true && !settings.mayEnrol) return ENROL_FIRST;
    exchange.identity = verdict;
    if (settings.streamsOutliveExpiry) exchange.outlivesExpiry = true;
    if (settings.hideCredentials) for (const method of methods) method.hide(exchange);
    return undefined;
  };

  const authenticateOnce: PolicyHook = (exchange) => {
    const verdict = only!.authenticate(exchange);
    return verdict instanceof Promise ? verdict.then((late) => conclude(exchange, late)) : conclude(exchange, verdict);
  };

  /** The first method that finds a credential decides; a bad one is not made good by another. */
  const authenticateAny = (exchange: PolicyContext, from = 0): Outcome | Promise<Outcome> => {
    for (let index = from; index < methods.length; index++) {
      const verdict = methods[index]!.authenticate(exchange);
      if (verdict instanceof Promise) {
        return verdict.then((late) =>
          late === null ? authenticateAny(exchange, index + 1) : conclude(exchange, late),
        );
      }
      if (verdict !== null) return conclude(exchange, verdict);
    }
    return conclude(exchange, null);
  };

  /** Every method must find a good credential; the first one's identity is the caller's. */
  const authenticateAll: PolicyHook = async (exchange) => {
    let first: Verdict = null;
    let missing = 0;
    for (const method of methods) {
      const verdict = await method.authenticate(exchange);
      if (verdict === null) missing++;
      else if (typeof verdict === 'string' || verdict instanceof Unavailable || verdict instanceof PassedReply) {
        return conclude(exchange, verdict);
      } else first ??= verdict;
    }
    if (missing === methods.length) return conclude(exchange, null);
    return missing > 0 ? refusals.missing : conclude(exchange, first);
  };

  const authenticate: PolicyHook =
    methods.length === 1 ? authenticateOnce : all ? authenticateAll : (exchange) => authenticateAny(exchange);
  const external = methods.find((method) => method instanceof ExternalMethod);

  const requirements = new RequirementCheck(settings.requirements, settings.realm);
  const checkRequirements: PolicyHook = (exchange) => requirements.check(exchange.identity, environment.clock);

  return {
    authenticate:
      external === undefined
        ? authenticate
        : (exchange) => {
            external.strip(exchange);
            return authenticate(exchange);
          },
    ...(requirements.isEmpty ? {} : { authorize: checkRequirements }),
  };
}

/**
 * The faults of one route, made once. All refusals look alike to the caller; only the log's `cause` tells them apart.
 */
class Refusals {
  readonly missing: Fault;
  readonly #challenges: Record<string, string>;
  readonly #byReason = new Map<Refusal, Fault>();

  constructor(realm: string, methods: readonly AuthMethod[]) {
    this.missing = new Fault(FAULTS.authenticationRequired, { headers: challenges(realm, methods, false) });
    this.#challenges = challenges(realm, methods, true);
  }

  of(reason: Refusal): Fault {
    let fault = this.#byReason.get(reason);
    if (fault === undefined) {
      fault = new Fault(FAULTS.invalidCredentials, { cause: reason, headers: this.#challenges });
      this.#byReason.set(reason, fault);
    }
    return fault;
  }

  unavailable({ cause }: Unavailable): Fault {
    return new Fault(FAULTS.authenticationUnavailable, { cause, retryAfterSeconds: RETRY_AFTER_SECONDS });
  }
}

/** RFC 9110 §11.6.1: a 401 has one challenge or more. A certificate has none, so the connection says what it wants. */
function challenges(realm: string, methods: readonly AuthMethod[], refused: boolean): Record<string, string> {
  const list = methods.map((method) => method.challenge(realm, refused)).filter((text) => text !== null);
  return { 'WWW-Authenticate': list.length === 0 ? `ClientCertificate realm="${realm}"` : list.join(', ') };
}

function headerMaker(settings: AuthSettings, environment: PolicyEnvironment): HeaderMaker {
  const { forward } = settings;
  if (forward.kind === 'plain') return plainHeaders;
  if (forward.kind === 'none') return noHeaders;
  const key = environment.secrets[forward.secret];
  if (key === undefined) throw new TypeError(`there is no secret ${forward.secret}`);
  return signedHeaders(forward.signed, key, environment.clock);
}
