/**
 * The `identity` key of the configuration, as control/sections.ts lists it: checks what only the environment completes
 * (secrets, switches), and adds the routes of `builtin:identity`.
 */
import { isIP } from 'node:net';
import type { ErrorFormat } from '../../base/error-body.ts';
import { messageOf } from '../../base/errors.ts';
import { SHIPPED_PLAN_NAMES } from '../../data/contract/limits.ts';
import { defineSection, type SectionContext } from '../config/section.ts';
import { environmentKeys } from './api-keys/environment-keys.ts';
import { DEFAULT_ISSUER, withEnvironment } from './environment.ts';
import { OPEN_CALLS, OPEN_OAUTH_CALLS, openCalls, RARE_CALLS } from './open-calls.ts';
import { type IdentitySection, identityOptions } from './options.ts';
import { checkMailTexts, checkPages } from './pages/check.ts';
import { plansOfDocument } from './plans.ts';

export interface IdentityPlan {
  readonly options: IdentitySection;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** `stores.sql` of the document, when the section names no store of its own. */
  readonly storeUrl: string | undefined;
}

const IDENTITY_SERVICE = 'builtin:identity';

/** What people need once in a while is a fifth of `addressLimits.calls`. */
const RARE_SHARE = 5;

export const identitySection = defineSection({
  at: 'top',
  key: 'identity',
  schema: identityOptions.describe(
    'Accounts, sessions, tokens, API keys and OAuth, served by the gateway itself. Default: off.',
  ),
  /** Null: the service does not run. */
  compile(options, context): IdentityPlan | null {
    if (options === undefined || !options.enabled) return null;
    try {
      withEnvironment(options, context.env);
      environmentKeys(context.env);
    } catch (error) {
      context.problem(messageOf(error));
      return null;
    }
    if (options.tokens.publishBefore >= options.tokens.rotateEvery) {
      context.problem('must be shorter than tokens.rotateEvery', { at: ['tokens', 'publishBefore'] });
    }
    if (options.sessions.idleTtl > options.sessions.absoluteTtl) {
      context.problem('must not be longer than sessions.absoluteTtl', { at: ['sessions', 'idleTtl'] });
    }
    if (options.service !== undefined && !context.services.includes(options.service)) {
      context.problem('there is no such service', { at: ['service'], got: options.service });
      return null;
    }
    const service = options.service ?? IDENTITY_SERVICE;
    const paths = new Set([options.basePath, ...options.alsoAt]);
    const { limit, window: windowMs, burst } = options.addressLimits.calls;
    const calls = { limit, windowMs, burst, scope: `${IDENTITY_SERVICE} calls` };
    const rare = {
      limit: Math.ceil(limit / RARE_SHARE),
      windowMs,
      burst: Math.ceil(burst / RARE_SHARE),
      scope: `${IDENTITY_SERVICE} rare calls`,
    };
    for (const path of paths) {
      const movedBy = path === options.basePath ? 'identity.basePath' : 'identity.alsoAt';
      context.addRoute({
        id: `${IDENTITY_SERVICE}${path}`,
        service,
        path: `${path}/*`,
        movedBy,
        limits: [
          { ...rare, paths: openCalls(path, RARE_CALLS) },
          { ...calls, paths: openCalls(path, OPEN_CALLS) },
        ],
      });
    }
    warnOfUncovered([...paths], context);
    warnOfPasskeys(options, context);
    const jwks = '/.well-known/jwks.json';
    const methods = ['GET', 'HEAD'];
    context.addRoute({
      id: `${IDENTITY_SERVICE}/jwks`,
      service,
      path: jwks,
      methods,
      movedBy: 'identity.enabled',
    });
    if (options.oauth.enabled) {
      const { path } = options.oauth;
      context.addRoute({
        id: `${IDENTITY_SERVICE}${path}`,
        service,
        path: `${path}/*`,
        movedBy: 'identity.oauth.path',
        limits: [{ ...calls, paths: openCalls(path, OPEN_OAUTH_CALLS) }],
      });
    }
    const stores = context.document?.['stores'] as { readonly sql?: unknown } | undefined;
    const storeUrl = typeof stores?.sql === 'string' && stores.sql !== '' ? stores.sql : undefined;
    const pages = checkPages(options.pages, context);
    checkMailTexts(options, context);
    const plans = checkPlans(options, context);
    warnOfIssuer(options, context);
    const errorFormat = options.errorFormat ?? errorFormatOf(context.document);
    return { options: { ...options, ...plans, errorFormat, pages }, environment: context.env, storeUrl };
  },
});

/** Callers read the errors of accounts and of the gateway alike, unless the section says otherwise. */
function errorFormatOf(document: SectionContext['document']): ErrorFormat {
  const { errorFormat } = (document?.['gateway'] ?? {}) as { readonly errorFormat?: ErrorFormat };
  return errorFormat ?? 'problem';
}

/** The plans of accounts, which are those of the limits unless the section says otherwise. */
function checkPlans(options: IdentitySection, context: SectionContext) {
  const written = context.document?.['plans'];
  const known = Object.keys((written ?? {}) as object);
  const result = plansOfDocument(options, context.document);
  if (!result.plans.includes(result.defaultPlan)) {
    context.problem('there is no such plan', {
      at: ['defaultPlan'],
      got: result.defaultPlan,
      expected: `one of ${result.plans.join(', ')}`,
    });
  }
  if (written === undefined) return result;
  for (const [index, plan] of (options.plans ?? []).entries()) {
    if (known.includes(plan) || SHIPPED_PLAN_NAMES.includes(plan)) continue;
    context.warning('no limits are defined for this plan: its accounts are limited as callers without one', {
      at: ['plans', index],
      got: plan,
      expected: 'a plan of the key "plans"',
    });
  }
  return result;
}

/** Who verifies tokens elsewhere looks for keys where `iss` says; nobody is there unless the gateway is. */
function warnOfIssuer({ issuer, publicUrl }: IdentitySection, context: SectionContext): void {
  if (issuer !== undefined || publicUrl !== undefined) return;
  const gateway = context.document?.['gateway'] as
    | { port?: number; listeners?: readonly { port?: number }[] }
    | undefined;
  const ports = gateway?.listeners?.map(({ port }) => port) ?? [gateway?.port];
  if (ports.some((port) => port === undefined || port === 0 || `${port}` === new URL(DEFAULT_ISSUER).port)) return;
  context.warning(`tokens say "iss": "${DEFAULT_ISSUER}", where this gateway does not listen`, {
    at: ['publicUrl'],
    expected: 'the URL by which callers reach the gateway, or an issuer',
  });
}

interface LimitedRoute {
  readonly name?: string;
  readonly match?: { readonly path?: unknown };
  readonly rateLimit?: unknown;
}

/** A limit that is written for one path of the API and not for another is none: the API is the same. */
function warnOfUncovered(mounts: readonly string[], context: SectionContext): void {
  const routes = (context.document?.['routes'] ?? []) as readonly LimitedRoute[];
  const paths = new Set(routes.flatMap(({ match }) => (typeof match?.path === 'string' ? [match.path] : [])));
  for (const { match, rateLimit } of routes) {
    const path = match?.path;
    if (typeof path !== 'string' || rateLimit === undefined || rateLimit === 'off') continue;
    const mount = mounts.find((each) => path.startsWith(`${each}/`));
    if (mount === undefined) continue;
    for (const other of mounts) {
      const alias = `${other}${path.slice(mount.length)}`;
      if (other === mount || paths.has(alias)) continue;
      context.warning(`the limit of the route ${path} does not go for ${alias}, which is the same`, {
        at: ['alsoAt'],
        expected: 'a route for each, or no further path',
      });
    }
  }
}

/** WebAuthn §5.1.2: a relying party is a domain, and the page's own or one above it. */
function warnOfPasskeys({ publicUrl, passkeys }: IdentitySection, context: SectionContext): void {
  if (publicUrl === undefined) return;
  const { hostname } = new URL(publicUrl);
  const isAddress = (name: string): boolean => isIP(name.replace(/^\[|\]$/g, '')) !== 0;
  if (passkeys.rpId === undefined ? isAddress(hostname) : isAddress(passkeys.rpId)) {
    context.warning('passkeys do not work on an IP address', {
      at: passkeys.rpId === undefined ? ['publicUrl'] : ['passkeys', 'rpId'],
      expected: 'a domain name',
    });
    return;
  }
  const { rpId } = passkeys;
  if (rpId === undefined) return;
  const pages = passkeys.origins.length > 0 ? passkeys.origins.map((origin) => new URL(origin).hostname) : [hostname];
  const foreign = pages.find((page) => page !== rpId && !page.endsWith(`.${rpId}`));
  if (foreign !== undefined) {
    context.warning(`browsers refuse passkeys of ${rpId} on pages of ${foreign}`, {
      at: ['passkeys', 'rpId'],
      expected: `${foreign} or a domain above it`,
    });
  }
}
