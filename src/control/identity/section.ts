/**
 * The `identity` key of the configuration, as control/sections.ts lists it: checks what only the environment completes
 * (secrets, switches), and adds the routes of `builtin:identity`.
 */
import { messageOf } from '../../base/errors.ts';
import { defineSection } from '../config/section.ts';
import { environmentKeys } from './api-keys/environment-keys.ts';
import { withEnvironment } from './environment.ts';
import { type IdentitySection, identityOptions } from './options.ts';

export interface IdentityPlan {
  readonly options: IdentitySection;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** `stores.sql` of the document, when the section names no store of its own. */
  readonly storeUrl: string | undefined;
}

export const IDENTITY_SERVICE = 'builtin:identity';

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
    for (const path of paths) {
      const movedBy = path === options.basePath ? 'identity.basePath' : 'identity.alsoAt';
      context.addRoute({ id: `${IDENTITY_SERVICE}${path}`, service, path: `${path}/*`, movedBy });
    }
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
      });
    }
    const stores = context.document?.['stores'] as { readonly sql?: unknown } | undefined;
    const storeUrl = typeof stores?.sql === 'string' && stores.sql !== '' ? stores.sql : undefined;
    return { options, environment: context.env, storeUrl };
  },
});
