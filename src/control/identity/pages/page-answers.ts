/** What the routes of pages share: the page in the request's language, the response, and who may send a form. */
import type { Context } from 'hono';
import type { Caller } from '../caller.ts';
import type { IdentityContext } from '../context.ts';
import type { Env } from '../http/actor.ts';
import { asProblem, forbidden, type Problem } from '../problem.ts';
import type { FormState } from './account-pages.ts';
import { isForeignForm } from './foreign-form.ts';
import type { Page } from './layout.ts';

export type Given = ReadonlyMap<string, string>;

export const NOTHING: Given = new Map();

export function pageOf({ pages }: IdentityContext, c: Context<Env>): Page {
  return pages.pageFor({ field: (name) => c.req.header(name), query: new URL(c.req.url).searchParams });
}

/** The caller of a page that was shown in some language: their emails speak it too. */
export function readerOf(page: Page, c: Context<Env>): Caller {
  return { ...c.get('caller'), languages: page.language };
}

/** A form in which nothing was typed. */
export function blank({ options }: IdentityContext, page: Page): FormState {
  return { page, token: '', given: NOTHING, complaints: new Map(), minLength: options.passwords.minLength };
}

/** Keeps the cookies that the request has been given. `next`: where the page's form leads on to (CSP `form-action`). */
export function answer(
  context: IdentityContext,
  c: Context<Env>,
  body: string,
  problem?: { readonly status: number; readonly more?: Problem['more'] },
  next?: string,
): Response {
  const wait = problem?.more?.retryAfterSeconds;
  const { setCookie } = pageOf(context, c);
  if (setCookie !== undefined) c.header('set-cookie', setCookie, { append: true });
  for (const [name, value] of Object.entries(context.pages.linkHeaders)) c.header(name, value);
  if (next?.startsWith('/') === false)
    c.header(
      'content-security-policy',
      `${context.pages.linkHeaders['content-security-policy']} ${new URL(next).origin}`,
    );
  if (wait !== undefined) c.header('retry-after', String(Math.ceil(wait)));
  return c.body(body, (problem?.status ?? 200) as 200);
}

/** Defects go on to the one exit, which logs them. */
export function asPlainProblem(error: unknown): Problem {
  const problem = asProblem(error);
  if (problem.status === 500) throw error;
  return problem;
}

/** A foreign page cannot know a code, but it could make a browser ask for emails. */
export function refuseForeign({ options }: IdentityContext, c: Context<Env>): void {
  if (isForeignForm(options.publicUrl, c.req.header('sec-fetch-site'), c.req.header('origin')))
    throw forbidden('the form came from another site', 'foreign_origin');
}
