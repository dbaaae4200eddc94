/**
 * Being an OAuth 2 and OpenID provider, with oidc-provider: discovery, code with PKCE, client credentials, refresh,
 * introspection, revocation, device flow. Access tokens are opaque (docs/identity-rules.md, 4). The provider is made
 * anew whenever the signing key changes (docs/identity-rules.md, 5), since it cannot change keys in place. Loaded
 * only when it is turned on.
 */
import type { EventEmitter } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import Provider, { type Configuration } from 'oidc-provider';
import { messageOf } from '../../../base/errors.ts';
import { findById } from '../accounts/users.ts';
import type { Caller } from '../caller.ts';
import type { IdentityContext } from '../context.ts';
import { OPEN_OAUTH_CALLS, openCalls } from '../open-calls.ts';
import { errorBox, html, type Page, PROVIDER_PAGE_POLICY, problemPage } from '../pages/layout.ts';
import { wordsOf } from '../pages/problems.ts';
import { Problem } from '../problem.ts';
import { adapterFactory } from './adapter.ts';
import { clientOf, clientsVersion, findClient, scopesOfClients } from './clients.ts';
import { interaction, PROVIDER_SCOPES, pageOfMessage, refuseForeign } from './interactions.ts';

export interface MountedProvider {
  /** Is this path the provider's? */
  handles(url: string): boolean;
  handle(request: IncomingMessage, response: ServerResponse, caller: Caller): void;
}

/** Requests with a user code of a device that there is not; they count like wrong passwords of their address. */
const wrongUserCodes = new WeakSet<IncomingMessage>();

const MINUTE = 60;
const DAY = 86_400;

export async function createProvider(context: IdentityContext): Promise<MountedProvider> {
  const { options, signingKeys, log } = context;
  if (signingKeys.algorithm === 'HS256') {
    throw new TypeError(
      'identity.oauth needs keys that others can verify with: set identity.tokens.algorithm to ES256, EdDSA or RS256',
    );
  }
  const { path } = options.oauth;
  const publicUrl = new URL(options.publicUrl);
  let current:
    | { signer: string; published: number; provider: Provider; listener: ReturnType<Provider['callback']> }
    | undefined;

  const ready = async (): Promise<NonNullable<typeof current>> => {
    const keys = await signingKeys.privateJwks();
    const { db } = context.store;
    const signer = `${keys.map((key) => key.kid).join(' ')} ${await clientsVersion(db)}`;
    if (current?.signer !== signer) {
      const made = configuration(context, keys, await scopesOfClients(db));
      const provider = new Provider(`${publicUrl.origin}${path}`, made);
      provider.proxy = true;
      provider.on('server_error', (_ctx, error) =>
        log.error('the OAuth provider failed', { problem: messageOf(error) }),
      );
      // Without a listener Koa prints the stack to standard error.
      (provider as EventEmitter).on('error', (error: Error & { readonly expose?: boolean }) => {
        if (error.expose !== true) log.error('the OAuth provider failed', { problem: messageOf(error) });
      });
      provider.use(keepRefusal);
      current = { signer, published: keys.length, provider, listener: provider.callback() };
    }
    return current;
  };
  await ready();

  const openToAll = new RegExp(openCalls(path, OPEN_OAUTH_CALLS));
  const serve = async (request: IncomingMessage, response: ServerResponse, caller: Caller): Promise<void> => {
    if (openToAll.test(/^[^?]*/.exec(request.url ?? '')?.[0] ?? '')) context.budget.take('calls', caller.address);
    const { provider, listener } = await ready();
    const mounted = request as IncomingMessage & { originalUrl?: string };
    mounted.originalUrl = request.url ?? '/';
    request.url = (request.url ?? '/').slice(path.length) || '/';
    // The addresses that the provider writes are the public ones, whatever a caller says in Host.
    request.headers['x-forwarded-proto'] = publicUrl.protocol.slice(0, -1);
    request.headers['x-forwarded-host'] = publicUrl.host;
    if (request.url.startsWith('/interaction/')) return await interaction(context, provider, request, response, caller);
    // The provider writes some pages of its own, with a script whose hash it puts into this policy.
    response.setHeader('content-security-policy', PROVIDER_PAGE_POLICY);
    response.setHeader('x-frame-options', 'DENY');
    response.setHeader('x-content-type-options', 'nosniff');
    response.setHeader('referrer-policy', 'no-referrer');
    const form =
      request.method === 'POST' ? /^\/(device|session\/end\/confirm)(?:$|\?)/.exec(request.url)?.[1] : undefined;
    if (form !== undefined) refuseForeign(context, request);
    if (form !== 'device') return await listener(request, response);
    await context.guard.attempt(context.store.db, caller.address, async () => {
      await listener(request, response);
      return wrongUserCodes.has(request) ? undefined : true;
    });
  };
  return {
    handles: (url) => url === path || url.startsWith(`${path}/`) || url.startsWith(`${path}?`),
    handle(request, response, caller) {
      serve(request, response, caller).catch((error: unknown) => {
        const page = pageOfMessage(context, request, new URLSearchParams());
        if (error instanceof Problem && error.status < 500 && !response.headersSent) {
          const wait = error.more.retryAfterSeconds;
          const more = wait === undefined ? {} : { 'retry-after': String(Math.ceil(wait)) };
          response.writeHead(error.status, { ...context.pages.headers, ...more });
          return void response.end(problemPage(page, 'errorTitle', wordsOf(page, error)));
        }
        log.error('the OAuth provider failed', { problem: messageOf(error), requestId: caller.requestId });
        if (response.headersSent) return void response.destroy();
        response.writeHead(500, context.pages.headers);
        response.end(problemPage(page, 'errorTitle', page.text('problemOther')));
      });
    },
  };
}

function configuration(
  context: IdentityContext,
  keys: readonly object[],
  moreScopes: readonly string[],
): Configuration {
  const { options, signingKeys, master } = context;
  const configured = options.oauth.clients.flatMap((each) => each.scopes);
  const scopes = [...new Set([...PROVIDER_SCOPES, ...configured, ...moreScopes])];
  const cookieKey = master.derive('oauth-cookies').export().toString('base64url');
  const seconds = (ms: number): number => Math.floor(ms / 1_000);
  return {
    adapter: adapterFactory(context),
    clients: options.oauth.clients.map((each) => clientOf(each, signingKeys.algorithm)),
    jwks: { keys: keys as NonNullable<Configuration['jwks']>['keys'] },
    scopes,
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'preferred_username'] },
    pkce: { required: () => true },
    // What applications are given (clients.ts), so that the metadata promises no more (RFC 9700 §2.1.2: nothing
    // implicit).
    responseTypes: ['code'],
    clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'none'],
    // RFC 6749 §4.1.3: sent with the first request, so demanded with the second.
    allowOmittingSingleRegisteredRedirectUri: false,
    // A public client's refresh token works once; one that is used again ends the grant.
    rotateRefreshToken: true,
    findAccount: async (_ctx, id) => {
      const user = await findById(context.store.db, id);
      // Rule 3: undefined refuses whatever was asked for, at once, also a refresh.
      if (user === undefined || user.status !== 'active' || user.kind !== 'user') return undefined;
      return {
        accountId: id,
        claims: async () => ({
          sub: id,
          email: user.email,
          email_verified: user.email_verified_at !== null,
          name: user.display_name ?? user.username ?? undefined,
          preferred_username: user.username ?? undefined,
        }),
      };
    },
    interactions: { url: (_ctx, found) => `${options.oauth.path}/interaction/${found.uid}` },
    cookies: {
      keys: [cookieKey],
      names: { session: 'gh_op_session', interaction: 'gh_op_interaction', resume: 'gh_op_resume' },
      long: { httpOnly: true, sameSite: 'lax', signed: true },
      short: { httpOnly: true, sameSite: 'lax', signed: true },
    },
    ttl: {
      AccessToken: seconds(options.oauth.accessTtl),
      ClientCredentials: seconds(options.oauth.accessTtl),
      RefreshToken: seconds(options.oauth.refreshTtl),
      AuthorizationCode: MINUTE,
      DeviceCode: 10 * MINUTE,
      IdToken: 5 * MINUTE,
      Interaction: 30 * MINUTE,
      Session: DAY,
      Grant: seconds(options.oauth.refreshTtl),
    },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: {
        enabled: true,
        // Its own tokens, or anybody's when the configuration says that it is a resource server.
        allowedPolicy: async (_ctx, asking, token) => {
          if (token.clientId === asking.clientId) return true;
          const configured = options.oauth.clients.find((each) => each.id === asking.clientId);
          const found = configured ?? (await findClient(context, context.store.db, asking.clientId))?.settings;
          return found?.mayIntrospect === true && found.secret !== undefined;
        },
      },
      // An application ends its own tokens; for any other the answer is the usual one and nothing happens.
      revocation: { enabled: true, allowedPolicy: async (_ctx, asking, token) => token.clientId === asking.clientId },
      rpInitiatedLogout: { enabled: true, ...logoutPages(context) },
      deviceFlow: { enabled: true, ...devicePages(context) },
    },
    renderError: async (ctx, out) => {
      show(context, ctx, (page) => {
        const why = `<p class="hint">${html(out.error_description ?? out.error)}</p>`;
        const said = `<p role="alert">${html(page.text('problemApplication'))}</p>`;
        return page.whole(page.text('errorTitle'), `${said}${why}`);
      });
    },
    issueRefreshToken: async (_ctx, found, code) =>
      found.grantTypeAllowed('refresh_token') && code.scopes.has('offline_access'),
  };
}

/**
 * Where a refusal has been written, what fails after it changes nothing: the library then saves a session that it may
 * never have stored, as for `/device/...` of a browser that it does not know, and would respond 500.
 */
async function keepRefusal(ctx: { readonly status: number; readonly body: unknown }, next: () => Promise<unknown>) {
  try {
    await next();
  } catch (error) {
    if (ctx.body == null || ctx.status < 400 || ctx.status >= 500) throw error;
  }
}

/** The part of Koa's context that pages need. */
interface PageContext {
  readonly req: IncomingMessage;
  readonly URL: URL;
  body: unknown;
  set(fields: Record<string, string>): void;
}

function show(context: IdentityContext, ctx: PageContext, make: (page: Page) => string): void {
  const page = pageOfMessage(context, ctx.req, ctx.URL.searchParams);
  const cookie = page.setCookie === undefined ? {} : { 'set-cookie': page.setCookie };
  ctx.set({ ...context.pages.headers, ...cookie });
  ctx.body = make(page);
}

const button = (form: string, words: string, more = ''): string =>
  `<button type="submit" form="${form}"${more}>${html(words)}</button>`;

function logoutPages(
  context: IdentityContext,
): Pick<
  NonNullable<NonNullable<Configuration['features']>['rpInitiatedLogout']>,
  'logoutSource' | 'postLogoutSuccessSource'
> {
  return {
    // `form` is made by the provider: the form element with its protection against foreign pages.
    logoutSource: async (ctx, form) => {
      show(context, ctx, (page) => {
        const application = ctx.oidc.entities.Client?.clientName ?? page.text('anApplication');
        return page.whole(
          page.text('signOutTitle'),
          `<p>${page.rich('signOutText', { application })}</p>${form}${button('op.logoutForm', page.text('signOutAll'), ' name="logout" value="yes"')}${button('op.logoutForm', page.text('signOutStay'), ' class="second"')}`,
        );
      });
    },
    postLogoutSuccessSource: async (ctx) => {
      show(context, ctx, (page) => page.whole(page.text('signedOutTitle'), `<p>${html(page.text('closePage'))}</p>`));
    },
  };
}

function devicePages(
  context: IdentityContext,
): Pick<
  NonNullable<NonNullable<Configuration['features']>['deviceFlow']>,
  'userCodeInputSource' | 'userCodeConfirmSource' | 'successSource'
> {
  return {
    // `form` is made by the provider: the form element with its protection against foreign pages.
    userCodeInputSource: async (ctx, form, _out, error) => {
      if (error !== undefined) wrongUserCodes.add(ctx.req);
      show(context, ctx, (page) => {
        const problem = errorBox(error === undefined ? undefined : page.text('deviceWrong'));
        return page.whole(
          page.text('deviceTitle'),
          `${problem}<p>${html(page.text('deviceText'))}</p>${labelled(form, page)}${button('op.deviceInputForm', page.text('continue'))}`,
        );
      });
    },
    userCodeConfirmSource: async (ctx, form, asking, _info, code) => {
      show(context, ctx, (page) => {
        const application = asking.clientName ?? asking.clientId;
        return page.whole(
          page.text('deviceAskTitle'),
          `<p>${page.rich('deviceAskText', { application })}</p><p class="code">${html(code)}</p>${form}${button('op.deviceConfirmForm', page.text('deviceYes'))}${button('op.deviceConfirmForm', page.text('deviceNo'), ' class="second" value="yes" name="abort"')}`,
        );
      });
    },
    successSource: async (ctx) => {
      show(context, ctx, (page) =>
        page.whole(page.text('deviceDoneTitle'), `<p>${html(page.text('deviceDoneText'))}</p>`),
      );
    },
  };
}

/** The provider's field has no label, and a handler that our policy would not run. */
function labelled(form: string, page: Page): string {
  const label = `<label for="user_code">${html(page.text('deviceCode'))}</label><input id="user_code" `;
  return form.replace(/onfocus="[^"]*"\s*/, '').replace(/<input\s+(?=[^>]*name="user_code")/, () => label);
}
