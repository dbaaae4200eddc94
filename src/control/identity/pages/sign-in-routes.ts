/**
 * Pages for those who have no application that does it: registering, and, where sessions are in cookies
 * (`identity.cookies`), signing in, with the second factor as a step of its own. Afterwards a browser goes on to
 * `next`: a path of the gateway, or one of `identity.returnTo`; nowhere else.
 */
import type { Context, Hono } from 'hono';
import * as z from 'zod';
import { keepLanguage } from '../accounts/language.ts';
import { register } from '../accounts/register.ts';
import { completeSignIn, signIn } from '../accounts/sign-in.ts';
import { giveCookies } from '../browser/cookies.ts';
import { endBrought } from '../browser/end-brought.ts';
import type { IdentityContext } from '../context.ts';
import * as field from '../fields.ts';
import type { Env } from '../http/actor.ts';
import { knowDevice } from '../http/device-cookie.ts';
import { checkPageForm, readPageForm } from '../http/validate.ts';
import { giveSecondFactor } from '../mfa/ticket.ts';
import type { User } from '../tables.ts';
import { donePage, registerPage, signInFactorPage, signInPage } from './account-pages.ts';
import { html } from './layout.ts';
import { answer, asPlainProblem, blank, type Given, pageOf, readerOf, refuseForeign } from './page-answers.ts';
import { complaintsOf } from './problems.ts';

const MOST_NEXT = 2_000;

const registration = z.object({ email: field.email, password: field.password, username: field.username.optional() });
const credentials = z.object({ login: field.loginName, password: field.password });

export function addSignInPages(app: Hono<Env>, context: IdentityContext): void {
  const { cookies, registration: registering, returnTo, publicUrl } = context.options;
  const canSignIn = cookies !== undefined;

  if (registering.open) {
    app.get('/pages/register', (c) => {
      return answer(context, c, registerPage(blank(context, pageOf(context, c)), canSignIn));
    });
    app.post('/pages/register', async (c) => {
      refuseForeign(context, c);
      const page = pageOf(context, c);
      const given = await readPageForm(c.req.raw);
      try {
        const { status } = await register(context, checkPageForm(given, registration), readerOf(page, c), false);
        const more = canSignIn ? `<p><a href="sign-in">${html(page.text('signInLink'))}</a></p>` : '';
        const body =
          status === 202
            ? donePage(page, 'sentTitle', page.text('registerSent'))
            : donePage(page, 'readyTitle', page.text('readyText'), more);
        return answer(context, c, body);
      } catch (error) {
        const problem = asPlainProblem(error);
        const state = { ...blank(context, page), given, complaints: complaintsOf(page, problem, given) };
        return answer(context, c, registerPage(state, canSignIn), problem);
      }
    });
  }

  if (!canSignIn) return;
  app.get('/pages/sign-in', (c) => {
    const next = nextOf(c.req.query('next'), publicUrl, returnTo);
    return answer(context, c, signInPage(blank(context, pageOf(context, c)), next, registering.open), undefined, next);
  });
  app.post('/pages/sign-in', async (c) => {
    refuseForeign(context, c);
    const given = await readPageForm(c.req.raw);
    const next = nextOf(given.get('next'), publicUrl, returnTo);
    try {
      const begun = await step(c, given);
      if (begun === undefined) return signedIn(c, next);
      return answer(context, c, signInFactorPage(blank(context, pageOf(context, c)), next, begun), undefined, next);
    } catch (error) {
      const problem = asPlainProblem(error);
      const page = pageOf(context, c);
      const state = { ...blank(context, page), given, complaints: complaintsOf(page, problem, given) };
      const ticket = given.get('ticket');
      // A ticket that is over cannot be tried again: back to the password.
      if (ticket !== undefined && problem.reason !== 'invalid_ticket')
        return answer(context, c, signInFactorPage(state, next, ticket), problem, next);
      return answer(context, c, signInPage(state, next, registering.open), problem, next);
    }
  });

  /** Signs in and gives the cookies, or returns the ticket that the second factor needs. */
  async function step(c: Context<Env>, given: Given): Promise<string | undefined> {
    const caller = c.get('caller');
    const ticket = given.get('ticket');
    if (ticket !== undefined) {
      const code = (given.get('code') ?? '').trim();
      const factor = /^\d{6}$/.test(code) ? { code } : { recoveryCode: code };
      const { user, facts } = await giveSecondFactor(context, { mfaTicket: ticket, ...factor }, caller);
      await begin(c, user, await completeSignIn(context, user, facts, caller, true));
      return undefined;
    }
    try {
      const { user, tokens } = await signIn(context, checkPageForm(given, credentials), null, caller, true);
      await begin(c, user, tokens);
      return undefined;
    } catch (error) {
      const problem = asPlainProblem(error);
      const wanted = problem.more.members?.['mfaTicket'];
      if (typeof wanted === 'string') return wanted;
      throw error;
    }
  }

  async function begin(c: Context<Env>, user: User, tokens: Parameters<typeof giveCookies>[2]): Promise<void> {
    await endBrought(context, c);
    giveCookies(context, c, tokens);
    knowDevice(context, c, user.id);
    const { isChosen, language } = pageOf(context, c);
    if (isChosen) await keepLanguage(context, user, language);
  }

  function signedIn(c: Context<Env>, next: string | undefined): Response {
    // RFC 9110 §15.4.4: to be asked for with GET.
    if (next !== undefined) return c.redirect(next, 303);
    const page = pageOf(context, c);
    return answer(context, c, donePage(page, 'signedInTitle', page.text('closePage')));
  }
}

/** `next` where it leads to a page of the gateway or one that is allowed; otherwise undefined. */
function nextOf(next: string | undefined, publicUrl: string, allowed: readonly string[]): string | undefined {
  if (next === undefined || next.length > MOST_NEXT) return undefined;
  if (allowed.includes(next)) return next;
  // A browser reads `//host`, `/\host` and what has tabs in it as another host.
  if (!/^\/(?![/\\])[\x21-\x5b\x5d-\x7e]*$/.test(next)) return undefined;
  const { origin } = new URL(publicUrl);
  return new URL(next, origin).origin === origin ? next : undefined;
}
