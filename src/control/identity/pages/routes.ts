/**
 * Pages below `/pages`: what the links of emails and the first administrator's link open, for people whose operator has
 * no application of their own. Each does what the route of the same purpose does, with a form in place of JSON. No
 * cookie and no session: a form counts by the code in it, which a foreign page cannot know.
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
import { asProblem, forbidden, invalid, type Problem } from '../problem.ts';
import {
  type Complaints,
  deadLinkPage,
  donePage,
  type FormState,
  forgotPage,
  resetPage,
  setupPage,
  verifyPage,
} from './account-pages.ts';
import { isForeignForm } from './foreign-form.ts';
import { LINK_PAGE_HEADERS, problemPage } from './layout.ts';

type Given = ReadonlyMap<string, string>;
type Good = Extract<LinkState, { state: 'good' }>;

interface LinkPage {
  readonly action: LinkAction;
  show(state: FormState, link: Good): string;
  /** Does it; the page that says so. */
  act(context: IdentityContext, given: Given, caller: Caller): Promise<string>;
  /** How to come by another link, as HTML without anything from outside. */
  readonly another: string;
}

const token = field.opaque('the code of the link');
const NOTHING: Given = new Map();
const FORGOT = '<p><a href="forgot-password">Ask for a new link</a></p>';

const PAGES: readonly LinkPage[] = [
  {
    action: 'setup',
    show: (state) => setupPage(state),
    async act(context, given, caller) {
      const schema = z.object({
        token,
        email: field.email,
        password: field.password,
        username: field.username.optional(),
      });
      const { email } = await createFirstAdmin(context, checkPageForm(given, schema), caller);
      return donePage('You are the administrator', `Sign in with ${email} and the password. This link is now void.`);
    },
    another:
      '<p>A new link is printed at each start of the gateway, until there is an administrator; then administrators make others.</p>',
  },
  {
    action: 'verify-email',
    show: (state, { account, isNewAccount }) => verifyPage(state, account, isNewAccount),
    async act(context, given, caller) {
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
      return donePage('Your address is confirmed', 'You can close this page and sign in.');
    },
    another: '<p>Register once more, or change your address once more: a new letter comes.</p>',
  },
  {
    action: 'reset-password',
    show: (state, { account }) => resetPage(state, account),
    async act(context, given, caller) {
      const form = checkPageForm(
        given,
        z.object({ token, newPassword: field.password, others: z.string().optional() }),
      );
      const drop = form.others === 'remove';
      const remove = { removePasskeys: drop, removeLinks: drop };
      const left = await resetPassword(context, form.token, form.newPassword, remove, caller);
      const others = left.passkeysLeft + left.linksLeft;
      const text = 'You can close this page and sign in with it.';
      const still = others === 0 ? '' : ` ${others} passkeys or linked accounts still open the account, too.`;
      return donePage('Your new password is set', `${text}${still}`);
    },
    another: FORGOT,
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
      return found.state === 'good' ? answer(link.show(stateOf(context, found.token), found)) : dead(link, found.state);
    });
    app.post(path, async (c) => {
      refuseForeign(context, c);
      const given = await readPageForm(c.req.raw);
      try {
        return answer(await link.act(context, given, c.get('caller')));
      } catch (error) {
        return await again(context, link, given, asPlainProblem(error));
      }
    });
  }

  app.get('/pages/forgot-password', () => answer(forgotPage(NOTHING, new Map())));
  app.post('/pages/forgot-password', async (c) => {
    refuseForeign(context, c);
    const given = await readPageForm(c.req.raw);
    try {
      const { email } = checkPageForm(given, z.object({ email: field.email }));
      await requestReset(context, email, c.get('caller'));
    } catch (error) {
      const problem = asPlainProblem(error);
      return answer(forgotPage(given, complaintsOf(problem, given)), problem);
    }
    return answer(donePage('Look into your mailbox', 'If an account has this address, a letter is on its way to it.'));
  });

  app.all('/pages/*', () => answer(problemPage('Nothing here', 'There is no such page.'), { status: 404 }));
  return app;
}

/** A page for everything that is thrown below `/pages`, where people would otherwise see JSON. */
export function pageOfProblem(problem: Problem): Response {
  return answer(problemPage('That did not work', sentence(problem.message)), problem);
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
async function again(context: IdentityContext, link: LinkPage, given: Given, problem: Problem): Promise<Response> {
  const found = await look(context, link, given.get('token'));
  if (found.state !== 'good') return dead(link, found.state);
  // There is an account with this address: no other password and no other name helps.
  if (problem.reason === 'email_taken')
    return answer(problemPage('That did not work', sentence(problem.message)), problem);
  const state = { ...stateOf(context, found.token), given, complaints: complaintsOf(problem, given) };
  return answer(link.show(state, found), problem);
}

function stateOf({ options }: IdentityContext, code: string): FormState {
  return { token: code, given: NOTHING, complaints: new Map(), minLength: options.passwords.minLength };
}

/** Where on the page a refusal belongs. */
function complaintsOf(problem: Problem, given: Given): Complaints {
  const { fields } = problem.more;
  if (fields !== undefined) {
    return new Map(
      fields.map((each) => [
        each.field,
        given.has(each.field) ? `Not accepted. It must be: ${each.expected}.` : 'Please fill this in.',
      ]),
    );
  }
  switch (problem.reason) {
    case 'wrong_password':
      return new Map([['password', 'This is not the password, or there were too many tries.']]);
    case 'username_taken':
      return new Map([['username', 'This user name is taken; choose another.']]);
    case 'name_taken':
      return new Map([[given.has('email') ? 'email' : 'username', 'The address or the user name is taken.']]);
    default:
      return new Map([['', sentence(problem.message)]]);
  }
}

function dead({ another }: LinkPage, state: 'over' | 'unknown'): Response {
  // RFC 9110 §15.5.11: what was here is gone for good.
  if (state === 'over')
    return answer(deadLinkPage('It was used before, was tried too often, or is too old.', another), { status: 410 });
  return answer(
    deadLinkPage('It is not complete, or was never given out. Open it again from the letter, whole.', another),
    {
      status: 400,
    },
  );
}

/** Defects go on to the one exit, which logs them. */
function asPlainProblem(error: unknown): Problem {
  const problem = asProblem(error);
  if (problem.status === 500) throw error;
  return problem;
}

/**
 * A foreign page cannot know a code, but it could make a browser ask for emails. The pages send no Referer, so browsers
 * say `Origin: null` (Fetch §3.2.5); those that say where the form came from are believed.
 */
function refuseForeign({ options }: IdentityContext, c: Context<Env>): void {
  if (isForeignForm(options.publicUrl, c.req.header('sec-fetch-site'), c.req.header('origin')))
    throw forbidden('the form came from another site', 'foreign_origin');
}

function answer(body: string, problem?: { readonly status: number; readonly more?: Problem['more'] }): Response {
  const wait = problem?.more?.retryAfterSeconds;
  return new Response(body, {
    status: problem?.status ?? 200,
    headers: { ...LINK_PAGE_HEADERS, ...(wait === undefined ? {} : { 'retry-after': String(Math.ceil(wait)) }) },
  });
}

const sentence = (message: string): string => `${message.charAt(0).toUpperCase()}${message.slice(1)}.`;
