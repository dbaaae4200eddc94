/**
 * `authorize`: may this caller do this here. Levels, roles, scopes, claims, age and content, hours, ownership, a
 * condition, and a user's own function, in this order, each only where it is configured. Who the caller is was found
 * out by `auth`; nothing here looks at credentials. What is asked for is fixed when the snapshot is built.
 */
import { FAULTS, Fault } from '../../base/errors.ts';
import { Authorizer, type AuthorizerFile, type Decided } from '../auth/authorize/authorizer.ts';
import { certainAge, isChild, mayReadAbout, mayView } from '../auth/authorize/child.ts';
import { compileCondition, compileReader } from '../auth/authorize/expression.ts';
import { AllowedHours, type HourSpan } from '../auth/authorize/hours.ts';
import { RequirementCheck } from '../auth/authorize/requirements.ts';
import { firstClaim } from '../auth/identity.ts';
import type { ClaimPath, Requirements } from '../contract/auth.ts';
import {
  definePolicy,
  type Identity,
  type Outcome,
  type PolicyContext,
  type PolicyEnvironment,
} from '../contract/policy.ts';

export type AuthorizeLevel = 'public' | 'user' | 'admin' | 'service';

export interface AuthorizeSettings {
  readonly realm: string;
  /** `user` is anybody who is known; `admin` and `service` are roles of these names. */
  readonly level: AuthorizeLevel;
  readonly requirements: Requirements;
  /** Each claim must be one of the values, or a list that holds one. */
  readonly claims: readonly {
    readonly paths: readonly ClaimPath[];
    readonly values: readonly (string | number | boolean)[];
  }[];
  /** Condition of ownership; when it is false the response is that of a resource that does not exist. */
  readonly owns: string | null;
  /** Roles that need not own. */
  readonly ownsExcept: readonly string[];
  /** Any other condition; when it is false the response is 403. */
  readonly when: string | null;
  /** Years; 0 asks for none. */
  readonly minAge: number;
  readonly unknownAge: 'refuse' | 'allow';
  /** Age rating of what the route serves, or the expression that reads it. */
  readonly rating: number | null;
  readonly ratingFrom: string | null;
  readonly topics: readonly string[];
  readonly topicFrom: string | null;
  readonly hours: HoursSettings | null;
  readonly function: AuthorizerFile | null;
}

export interface HoursSettings {
  readonly spans: readonly HourSpan[];
  readonly timeZone: string;
  readonly for: 'children' | 'all';
}

/** Undefined: go on. */
type Check = (identity: Identity, exchange: PolicyContext) => Fault | undefined;

const forbidden = (cause: string, detail?: string): Fault =>
  new Fault(FAULTS.insufficientPermissions, detail === undefined ? { cause } : { cause, detail });

export const authorize = definePolicy<AuthorizeSettings>({
  name: 'authorize',
  phases: ['authorize'],
  create(settings, environment) {
    const anonymous = new Fault(FAULTS.authenticationRequired, {
      headers: { 'WWW-Authenticate': `Bearer realm="${settings.realm}"` },
    });
    const checks = createChecks(settings, environment);
    const refusedByCondition = forbidden('when');
    const holds = settings.when === null ? null : compileCondition(settings.when);
    const decided = settings.function === null ? null : createDecision(settings.function, environment);

    return {
      authorize: (exchange) => {
        const { identity } = exchange;
        if (identity === null) {
          if (settings.level !== 'public') return anonymous;
        } else {
          for (let i = 0; i < checks.length; i++) {
            const fault = checks[i]!(identity, exchange);
            if (fault !== undefined) return fault;
          }
        }
        if (holds !== null && !holds(exchange)) return refusedByCondition;
        return decided === null ? undefined : decided(exchange);
      },
    };
  },
});

/** What is asked of an identity, in order; only what the route asks for. */
function createChecks(settings: AuthorizeSettings, { clock }: PolicyEnvironment): Check[] {
  const checks: Check[] = [];
  const { level } = settings;
  if (level === 'admin' || level === 'service') {
    const wrongLevel = forbidden('level');
    checks.push((identity) => (identity.roles.includes(level) ? undefined : wrongLevel));
  }
  const requirements = new RequirementCheck(settings.requirements, settings.realm);
  if (!requirements.isEmpty) checks.push((identity) => requirements.check(identity, clock));
  for (const { paths, values } of settings.claims) {
    const wrongClaim = forbidden(`claim ${paths.at(-1)?.join('.')}`);
    checks.push((identity) => (claimHolds(firstClaim(identity.claims, paths), values) ? undefined : wrongClaim));
  }
  checks.push(...childChecks(settings), ...hourChecks(settings.hours, () => clock.wallMs()), ...ownerChecks(settings));
  return checks;
}

function claimHolds(claim: unknown, values: readonly (string | number | boolean)[]): boolean {
  if (Array.isArray(claim)) return claim.some((entry) => values.includes(entry as string));
  return values.includes(claim as string);
}

function childChecks({ minAge, unknownAge, rating, ratingFrom, topics, topicFrom }: AuthorizeSettings): Check[] {
  const checks: Check[] = [];
  if (minAge > 0) {
    const tooYoung = forbidden('age');
    checks.push((identity) => {
      const age = certainAge(identity);
      // A child of unknown age is never taken for old enough.
      if (age === undefined) return unknownAge === 'allow' && !isChild(identity) ? undefined : tooYoung;
      return age >= minAge ? undefined : tooYoung;
    });
  }
  const notForThem = forbidden('content_rating');
  if (rating !== null) checks.push((identity) => (mayView(identity, rating) ? undefined : notForThem));
  if (ratingFrom !== null) {
    const read = compileReader(ratingFrom);
    checks.push((identity, exchange) => {
      const value = read(exchange);
      const years = value === undefined ? Number.NaN : Number(value);
      // What is not rated counts as rated highest: only who has no limit may see it.
      return mayView(identity, years >= 0 ? years : Number.POSITIVE_INFINITY) ? undefined : notForThem;
    });
  }
  const blockedTopic = forbidden('topic');
  if (topics.length > 0) checks.push((identity) => (mayReadAbout(identity, topics) ? undefined : blockedTopic));
  if (topicFrom !== null) {
    const read = compileReader(topicFrom);
    checks.push((identity, exchange) => {
      const value = read(exchange);
      return value === undefined || mayReadAbout(identity, [String(value)]) ? undefined : blockedTopic;
    });
  }
  return checks;
}

function hourChecks(hours: HoursSettings | null, wallMs: () => number): Check[] {
  if (hours === null) return [];
  const allowed = new AllowedHours(hours.spans, hours.timeZone);
  const outside = forbidden('hours', 'not at this hour');
  return [
    (identity) => ((hours.for === 'children' && !isChild(identity)) || allowed.allows(wallMs()) ? undefined : outside),
  ];
}

/** Last of the checks: who may not do this at all learns nothing about what exists. */
function ownerChecks({ owns, ownsExcept }: AuthorizeSettings): Check[] {
  if (owns === null) return [];
  const isOwner = compileCondition(owns);
  const notOwner = new Fault(FAULTS.notOwner, { cause: 'owns' });
  return [
    (identity, exchange) => {
      for (let i = 0; i < ownsExcept.length; i++) if (identity.roles.includes(ownsExcept[i]!)) return undefined;
      return isOwner(exchange) ? undefined : notOwner;
    },
  ];
}

function createDecision(
  file: AuthorizerFile,
  environment: PolicyEnvironment,
): (exchange: PolicyContext) => Outcome | Promise<Outcome> {
  const authorizer = new Authorizer(file, environment.log.child({ route: environment.routeId }));
  const refused = forbidden('function');
  const notFound = new Fault(FAULTS.notOwner, { cause: 'function' });
  const failed = new Fault(FAULTS.internal, { cause: 'the authorize function failed' });
  const outcomeOf = (decision: Decided): Outcome => {
    if (decision === true) return undefined;
    if (decision === false) return refused;
    return decision === 'not-found' ? notFound : failed;
  };
  return (exchange) => {
    const decision = authorizer.decide(exchange);
    return decision instanceof Promise ? decision.then(outcomeOf) : outcomeOf(decision);
  };
}
