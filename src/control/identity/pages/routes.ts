/**
 * Pages below `/pages`: what the links of emails and the first administrator's link open, for people whose operator has
 * no application of their own. Each does what the route of the same purpose does, with a form in place of JSON. No
 * session: a form counts by the code in it, which a foreign page cannot know.
 */
import { type Context, Hono } from 'hono';
import * as z from 'zod';
import { requestReset, resetPassword } from '../accounts/change-password.ts';
import { createFirstAdmin } from '../accounts/first-admin.ts';
import { type LinkState, linkState } from '../accounts/link-state.ts';
import { confirmRegistration } from '../accounts/register.ts';
import type { Caller } from '../caller.ts';
import type { IdentityContext } from '../context.ts';
import * as field from '../fields.ts';
import type { Env } from '../http/actor.ts';
import { checkPageForm, readPageForm } from '../http/validate.ts';
import type { LinkAction } from '../mail/links.ts';
import { invalid, type Problem } from '../problem.ts';
import {
  deadLinkPage,
  donePage,
  type FormState,
  forgotPage,
  resetPage,
  setupPage,
  verifyPage,
} from './account-pages.ts';
import { html, type Page, problemPage } from './layout.ts';
import { answer, asPlainProblem, blank, type Given, pageOf, readerOf, refuseForeign } from './page-answers.ts';
import { complaintsOf, wordsOf } from './problems.ts';
import { addSignInPages } from './sign-in-routes.ts';

type Good = Extract<LinkState, { state: 'good' }>;

interface LinkPage {
  readonly action: LinkAction;
  show(state: FormState, link: Good): string;
  /** Does it; the page that says so. */
  act(context: IdentityContext, page: Page, given: Given, caller: Caller): Promise<string>;
  /** How to get another link, as HTML. */
  another(page: Page): string;
}

const token = field.opaque('the code of the link');

const PAGES: readonly LinkPage[] = [
  {
    action: 'setup',
    show: (state) => setupPage(state),
    async act(context, page, given, caller) {
      const schema = z.object({
        token,
        email: field.email,
        password: field.password,
        username: field.username.optional(),
      });
      const { email } = await createFirstAdmin(context, checkPageForm(given, schema), caller);
      return donePage(page, 'setupDoneTitle', page.text('setupDoneText', { email: email ?? '' }));
    },
    another: (page) => `<p>${html(page.text('setupAnother'))}</p>`,
  },
  {
    action: 'verify-email',
    show: (state, { account, isNewAccount }) => verifyPage(state, account, isNewAccount),
    async act(context, page, given, caller) {
      const schema = z.object({
        token,
        password: field.password.optional(),
        newPassword: field.password.optional(),
        username: field.username.optional(),
      });
      const form = checkPageForm(given, schema);
      if (form.password === undefined && form.newPassword === undefined) checkPageForm(given, needsPassword);
      if (form.password !== undefined && form.newPassword !== undefined) {
        throw invalid([{ field: 'newPassword', expected: 'given without the other password' }]);
      }
      await confirmRegistration(context, form, caller);
      return donePage(page, 'verifiedTitle', page.text('verifiedText'));
    },
    another: (page) => `<p>${html(page.text('verifyAnother'))}</p>`,
  },
  {
    action: 'reset-password',
    show: (state, { account }) => resetPage(state, account),
    async act(context, page, given, caller) {
      const form = checkPageForm(
        given,
        z.object({ token, newPassword: field.password, others: z.string().optional() }),
      );
      const drop = form.others === 'remove';
      const remove = { removePasskeys: drop, removeLinks: drop };
      const left = await resetPassword(context, form.token, form.newPassword, remove, caller);
      const others = left.passkeysLeft + left.linksLeft;
      const still = others === 0 ? '' : ` ${page.text('resetLeft', { count: others })}`;
      return donePage(page, 'resetDoneTitle', `${page.text('resetDoneText')}${still}`);
    },
    another: (page) => `<p><a href="forgot-password">${html(page.text('forgotAgain'))}</a></p>`,
  },
];

const needsPassword = z.object({ password: field.password });

export function pageRoutes(context: IdentityContext): Hono<Env> {
  const app = new Hono<Env>();

  for (const link of PAGES) {
    const path = `/pages/${link.action}`;
    app.get(path, async (c) => {
      await context.guard.checkAddress(context.store.db, c.get('caller').address);
      const found = await look(context, link, c.req.query('token'));
      if (found.state !== 'good') return dead(context, c, link, found.state);
      const state = { ...blank(context, pageOf(context, c)), token: found.token };
      return answer(context, c, link.show(state, found));
    });
    app.post(path, async (c) => {
      refuseForeign(context, c);
      const given = await readPageForm(c.req.raw);
      const page = pageOf(context, c);
      try {
        return answer(context, c, await link.act(context, page, given, readerOf(page, c)));
      } catch (error) {
        return await again(context, c, link, given, asPlainProblem(error));
      }
    });
  }

  app.get('/pages/forgot-password', (c) => answer(context, c, forgotPage(blank(context, pageOf(context, c)))));
  app.post('/pages/forgot-password', async (c) => {
    refuseForeign(context, c);
    const given = await readPageForm(c.req.raw);
    const page = pageOf(context, c);
    try {
      const { email } = checkPageForm(given, z.object({ email: field.email }));
      await requestReset(context, email, readerOf(page, c));
    } catch (error) {
      const problem = asPlainProblem(error);
      const state = { ...blank(context, page), given, complaints: complaintsOf(page, problem, given) };
      return answer(context, c, forgotPage(state), problem);
    }
    return answer(context, c, donePage(page, 'sentTitle', page.text('resetSent')));
  });

  addSignInPages(app, context);

  app.all('/pages/*', (c) => {
    const page = pageOf(context, c);
    return answer(context, c, problemPage(page, 'notFoundTitle', page.text('notFoundText')), { status: 404 });
  });
  return app;
}

/** A page for everything that is thrown below `/pages`, where people would otherwise see JSON. */
export function pageOfProblem(context: IdentityContext, c: Context<Env>, problem: Problem): Response {
  const page = pageOf(context, c);
  return answer(context, c, problemPage(page, 'errorTitle', wordsOf(page, problem)), problem);
}

async function look(
  context: IdentityContext,
  { action }: LinkPage,
  given: string | undefined,
): Promise<LinkState & { token: string }> {
  const code = token.safeParse(given);
  if (!code.success) return { state: 'unknown', token: '' };
  return { ...(await linkState(context, action, code.data)), token: code.data };
}

/** The form once more, with what is wrong; or, when the link has no use any more, that. */
async function again(
  context: IdentityContext,
  c: Context<Env>,
  link: LinkPage,
  given: Given,
  problem: Problem,
): Promise<Response> {
  const found = await look(context, link, given.get('token'));
  if (found.state !== 'good') return dead(context, c, link, found.state);
  // There is an account with this address: no other password and no other name helps.
  if (problem.reason === 'email_taken') return pageOfProblem(context, c, problem);
  const page = pageOf(context, c);
  const complaints = complaintsOf(page, problem, given);
  return answer(
    context,
    c,
    link.show({ ...blank(context, page), token: found.token, given, complaints }, found),
    problem,
  );
}

function dead(context: IdentityContext, c: Context<Env>, { another }: LinkPage, state: 'over' | 'unknown'): Response {
  const page = pageOf(context, c);
  // RFC 9110 §15.5.11: what was here is gone for good.
  const [status, text] = state === 'over' ? ([410, 'deadOver'] as const) : ([400, 'deadUnknown'] as const);
  return answer(context, c, deadLinkPage(page, text, another(page)), { status });
}
