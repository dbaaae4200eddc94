/**
 * The person's part of the provider's flows: signing in and consenting, on the pages of pages.ts. oidc-provider holds
 * the state of the flow; its cookie (SameSite=Lax, one path) and the check of `Origin` keep foreign pages from posting.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type Provider from 'oidc-provider';
import type { InteractionResults } from 'oidc-provider';
import { accessOf } from '../accounts/access.ts';
import { guesserOf } from '../accounts/devices.ts';
import { checkPassword, secondFactorNeeded } from '../accounts/sign-in.ts';
import { findById } from '../accounts/users.ts';
import type { Caller } from '../caller.ts';
import type { IdentityContext } from '../context.ts';
import { factorsOf } from '../mfa/factors.ts';
import { giveSecondFactor } from '../mfa/ticket.ts';
import { isForeignForm } from '../pages/foreign-form.ts';
import { type Page, type PageHeaders, problemPage } from '../pages/layout.ts';
import { wordsOf } from '../pages/problems.ts';
import { pastedDigits } from '../pasted.ts';
import { Problem } from '../problem.ts';
import type { User } from '../tables.ts';
import { consentPage, factorPage, loginPage } from './pages.ts';

const MAX_FORM_BYTES = 8_192;
/** What the provider itself gives meaning to; all other scopes must be the account's own. */
export const PROVIDER_SCOPES = ['openid', 'email', 'profile', 'offline_access'];

type Details = Awaited<ReturnType<Provider['interactionDetails']>>;

/** Handles `/interaction/:uid` and what is below it. */
export async function interaction(
  context: IdentityContext,
  provider: Provider,
  request: IncomingMessage,
  response: ServerResponse,
  caller: Caller,
): Promise<void> {
  const [path = '', search = ''] = (request.url ?? '').split('?');
  const query = new URLSearchParams(search);
  let page = pageOfMessage(context, request, query);
  const show = (body: string, status = 200): void => {
    const cookie = page.setCookie === undefined ? {} : { 'set-cookie': page.setCookie };
    send(response, { ...context.pages.headers, ...cookie }, body, status);
  };
  const problem = (title: 'notFound' | 'expired', status: number): void =>
    show(problemPage(page, `${title}Title`, page.text(`${title}Text`)), status);
  try {
    const details = await provider.interactionDetails(request, response);
    // OpenID Connect Core §3.1.2.1: what the application says of its user, after the user's own choice.
    if (!query.has('ui_locales')) query.set('ui_locales', String(details.params['ui_locales'] ?? ''));
    page = pageOfMessage(context, request, query);
    const step = path.split('/')[3] ?? '';
    const base = `${context.options.oauth.path}/interaction/${details.uid}`;
    if (request.method === 'GET' && step === '') return show(await firstPage(context, page, provider, details, base));
    if (request.method !== 'POST') return problem('notFound', 404);
    refuseForeign(context, request);
    const form = await readForm(request);
    const finish = (result: InteractionResults): Promise<void> =>
      provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
    if (step === 'abort') return await finish({ error: 'access_denied', error_description: 'the person refused' });
    if (step === 'confirm' && details.prompt.name === 'consent') {
      return await finish({ consent: { grantId: await grant(context, provider, details) } });
    }
    if (details.prompt.name === 'login' && (step === 'login' || step === 'factor')) {
      const done = await signInStep(context, page, provider, details, base, step, form, caller);
      return typeof done === 'string' ? show(done, 422) : await finish(done);
    }
    return problem('notFound', 404);
  } catch (error) {
    if (error instanceof Problem) return show(problemPage(page, 'errorTitle', wordsOf(page, error)), error.status);
    // An interaction that is over or belongs to another browser.
    if ((error as { error?: unknown }).error === 'invalid_request') return problem('expired', 400);
    throw error;
  }
}

async function firstPage(
  context: IdentityContext,
  page: Page,
  provider: Provider,
  details: Details,
  base: string,
): Promise<string> {
  const application = await applicationName(provider, details);
  if (details.prompt.name === 'login')
    return loginPage(
      page,
      base,
      application,
      String(details.params['login_hint'] ?? '').slice(0, 320),
      linksOf(context),
    );
  const user = await findById(context.store.db, details.session?.accountId ?? '');
  if (user === undefined) return problemPage(page, 'expiredTitle', page.text('expiredText'));
  return consentPage(
    page,
    base,
    application,
    user.email ?? user.username ?? user.id,
    await grantable(context, user, details),
  );
}

async function applicationName(provider: Provider, details: Details): Promise<string> {
  const id = String(details.params['client_id'] ?? '');
  const found = await provider.Client.find(id);
  return found?.clientName ?? id;
}

/** A page to show again, or the result that goes on. */
async function signInStep(
  context: IdentityContext,
  page: Page,
  provider: Provider,
  details: Details,
  base: string,
  step: 'login' | 'factor',
  form: URLSearchParams,
  caller: Caller,
): Promise<string | InteractionResults> {
  const login = form.get('login') ?? '';
  const ticket = form.get('ticket') ?? '';
  try {
    if (step === 'login') {
      const user = await checkPassword(context, { login, password: form.get('password') ?? '' }, caller);
      refuseChild(user);
      const factors = await factorsOf(context.store.db, user.id);
      const access = await accessOf(context, context.store.db, user);
      if (factors.length === 0) {
        if (access?.mfaRequired === true)
          throw new Problem(
            403,
            'MFA_REQUIRED',
            'mfa_enrolment_required',
            'set up a second factor for this account first',
          );
        return await signedIn(context, user, ['pwd'], caller);
      }
      const needed = await secondFactorNeeded(context, user, factors, { amr: ['pwd'], scopes: null });
      return factorPage(page, base, String(needed.more.members?.['mfaTicket'] ?? ''));
    }
    const code = pastedDigits(form.get('code') ?? '');
    const given = /^\d{6}$/.test(code) ? { code } : { recoveryCode: code };
    const { user, facts } = await giveSecondFactor(context, { mfaTicket: ticket, ...given }, caller);
    refuseChild(user);
    return await signedIn(context, user, facts.amr, caller);
  } catch (error) {
    if (!(error instanceof Problem) || error.status >= 500) throw error;
    // A ticket that is over cannot be tried again: back to the password.
    if (step === 'factor' && error.reason !== 'invalid_ticket')
      return factorPage(page, base, ticket, wordsOf(page, error));
    return loginPage(
      page,
      base,
      await applicationName(provider, details),
      login,
      linksOf(context),
      wordsOf(page, error),
    );
  }
}

async function signedIn(
  context: IdentityContext,
  user: User,
  amr: readonly string[],
  caller: Caller,
): Promise<InteractionResults> {
  await context.store.transaction(async (trx) => {
    await context.guard.clear(trx, `user:${user.id}`, await guesserOf(context, trx, user, caller));
    const { address, requestId } = caller;
    await context.audit.append(trx, {
      actor: user.id,
      action: 'oauth.signed-in',
      target: user.id,
      address,
      requestId,
      detail: { amr },
    });
  });
  return { login: { accountId: user.id, amr: [...amr], remember: false } };
}

/** A parent decides what its child uses, and an application elsewhere knows no parent. */
function refuseChild(user: User): void {
  if (user.kind !== 'user')
    throw new Problem(
      403,
      'INSUFFICIENT_PERMISSIONS',
      'child_account',
      'this account cannot be used with other applications',
    );
}

/** The requested scopes that the account has; the person never grants more than their own. */
async function grantable(context: IdentityContext, user: User, details: Details): Promise<string[]> {
  const access = await accessOf(context, context.store.db, user);
  const wanted = String(details.params['scope'] ?? '')
    .split(' ')
    .filter(Boolean);
  return wanted.filter((scope) => PROVIDER_SCOPES.includes(scope) || access?.scopes.includes(scope) === true);
}

async function grant(context: IdentityContext, provider: Provider, details: Details): Promise<string> {
  const accountId = details.session?.accountId ?? '';
  const user = await findById(context.store.db, accountId);
  if (user === undefined || user.status !== 'active')
    throw new Problem(403, 'INSUFFICIENT_PERMISSIONS', 'account_disabled', 'the account cannot be used');
  const clientId = String(details.params['client_id'] ?? '');
  const found = details.grantId === undefined ? undefined : await provider.Grant.find(details.grantId);
  const given = found ?? new provider.Grant({ accountId, clientId });
  const scopes = await grantable(context, user, details);
  given.addOIDCScope(scopes.join(' '));
  const refused = String(details.params['scope'] ?? '')
    .split(' ')
    .filter((scope) => scope !== '' && !scopes.includes(scope));
  if (refused.length > 0) given.rejectOIDCScope(refused.join(' '));
  const claims = details.prompt.details['missingOIDCClaims'];
  if (Array.isArray(claims)) given.addOIDCClaims(claims as string[]);
  await context.audit.write({ actor: accountId, action: 'oauth.consented', target: clientId, detail: { scopes } });
  const id = await given.save();
  const name = await applicationName(provider, details);
  await context.store.transaction((trx) => context.mails.tell(trx, user, 'applicationAllowed', { name }));
  context.outbox.nudge();
  return id;
}

/** Forms of these pages come from these pages only. */
export function refuseForeign({ options }: IdentityContext, request: IncomingMessage): void {
  const site = request.headers['sec-fetch-site'];
  if (isForeignForm(options.publicUrl, typeof site === 'string' ? site : undefined, request.headers.origin))
    throw new Problem(403, 'INSUFFICIENT_PERMISSIONS', 'foreign_origin', 'the form came from another site');
}

async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk;
    if (text.length > MAX_FORM_BYTES)
      throw new Problem(413, 'PAYLOAD_TOO_LARGE', 'payload_too_large', 'the form is too large');
  }
  return new URLSearchParams(text);
}

function send(response: ServerResponse, headers: PageHeaders, html: string, status: number): void {
  response.writeHead(status, headers);
  response.end(html);
}

export function pageOfMessage({ pages }: IdentityContext, request: IncomingMessage, query: URLSearchParams): Page {
  return pages.pageFor({ field: (name) => request.headers[name]?.toString(), query });
}

/** For those who have no password at hand; where links lead to an application, that has its own pages. */
function linksOf({ options }: IdentityContext): Record<string, string> {
  if (options.mail.linkBase !== undefined) return {};
  const at = `${options.basePath}/pages`;
  const open = options.registration.open ? { registerLink: `${at}/register` } : {};
  return { forgotLink: `${at}/forgot-password`, ...open };
}
