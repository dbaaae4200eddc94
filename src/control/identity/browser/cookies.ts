/**
 * The cookies of a browser's session: written after signing in and refreshing, read when the account API is called, and
 * checked with the CSRF token and the site that a request comes from. The same rule as the gateway's own for cookies
 * (data/auth/jwt/token-source.ts), so that the two cannot disagree.
 */
import { timingSafeEqual } from 'node:crypto';
import type { Context } from 'hono';
import { deleteCookie, getCookie, setCookie } from 'hono/cookie';
import {
  accessCookieName,
  CSRF_CLAIM,
  CSRF_FIELD,
  refreshCookieName,
  sessionCookieName,
} from '../../../data/contract/browser-session.ts';
import type { IdentityContext } from '../context.ts';
import type { Env } from '../http/actor.ts';
import { forbidden } from '../problem.ts';
import type { TokenAnswer } from '../responses.ts';
import { csrfTokenOf } from '../sessions/sessions.ts';

const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD']);

/** Puts the tokens of an answer into cookies; scripts get what is left, and the CSRF token. */
export function giveCookies(context: IdentityContext, c: Context<Env>, tokens: TokenAnswer): object {
  const { accessToken, refreshToken, expiresIn, refreshExpiresIn, sessionId, scope, mfaEnrolmentRequired } = tokens;
  const { publicUrl } = context.options;
  const secure = publicUrl.startsWith('https:');
  const sameSite = context.options.cookies?.sameSite === 'strict' ? 'Strict' : 'Lax';
  setCookie(c, accessCookieName(publicUrl), accessToken, {
    httpOnly: true,
    secure,
    sameSite,
    path: '/',
    maxAge: expiresIn,
  });
  const bound = sessionCookieName(publicUrl);
  if (refreshToken !== undefined && bound !== null) {
    setCookie(c, bound, sessionId, {
      httpOnly: true,
      secure,
      sameSite: 'Strict',
      path: '/',
      ...(refreshExpiresIn === undefined ? {} : { maxAge: refreshExpiresIn }),
    });
  }
  if (refreshToken !== undefined) {
    setCookie(c, refreshCookieName(publicUrl), refreshToken, {
      httpOnly: true,
      secure,
      sameSite: 'Strict',
      path: refreshPath(c),
      ...(refreshExpiresIn === undefined ? {} : { maxAge: refreshExpiresIn }),
    });
  }
  return {
    csrfToken: csrfTokenOf(context, sessionId),
    expiresIn,
    scope,
    sessionId,
    ...(mfaEnrolmentRequired === undefined ? {} : { mfaEnrolmentRequired }),
  };
}

export function takeCookies(context: IdentityContext, c: Context<Env>): void {
  const { publicUrl } = context.options;
  const secure = publicUrl.startsWith('https:');
  deleteCookie(c, accessCookieName(publicUrl), { path: '/', secure });
  deleteCookie(c, refreshCookieName(publicUrl), { path: refreshPath(c), secure });
  const bound = sessionCookieName(publicUrl);
  if (bound !== null) deleteCookie(c, bound, { path: '/', secure });
}

/** All that the browser sends: a neighbour's page may have planted one before or behind the own one. */
export function refreshCookies(context: IdentityContext, c: Context<Env>): string[] {
  const name = refreshCookieName(context.options.publicUrl);
  const pairs = (c.req.header('cookie') ?? '').split(';').map((pair) => pair.trim());
  return pairs.filter((pair) => pair.startsWith(`${name}=`)).map((pair) => pair.slice(name.length + 1));
}

/** The session that this browser was given, where a cookie can say it so that no other host can. */
export function isBoundTo(context: IdentityContext, c: Context<Env>, sessionId: string): boolean {
  const name = sessionCookieName(context.options.publicUrl);
  return name === null || getCookie(c, name) === sessionId;
}

/** The access token of the cookie; undefined without one. Whether the page may use it is `checkCsrf`'s to say. */
export function accessCookie(context: IdentityContext, c: Context<Env>): string | undefined {
  return context.options.cookies === undefined ? undefined : getCookie(c, accessCookieName(context.options.publicUrl));
}

/** Throws 403 where another site's page may have sent the request. */
export function checkSite(context: IdentityContext, c: Context<Env>): void {
  const origin = c.req.header('origin');
  if (origin !== undefined && context.options.cookies?.trustedSites.includes(origin) === true) return;
  const site = c.req.header('sec-fetch-site');
  const isOwn =
    site !== undefined
      ? site === 'same-origin' || site === 'none'
      : origin === undefined || origin.slice(origin.indexOf('://') + 3) === c.req.header('host');
  if (!isOwn) throw forbidden('the request comes from a page of another site', 'cross_site');
}

/** Throws 403 for a request that may change something and does not prove that the page itself sent it. */
export function checkCsrf(context: IdentityContext, c: Context<Env>, claims: Readonly<Record<string, unknown>>): void {
  if (SAFE_METHODS.has(c.req.method)) return;
  checkSite(context, c);
  const wanted = Buffer.from(String(claims[CSRF_CLAIM] ?? ''));
  const given = Buffer.from(c.req.header(CSRF_FIELD) ?? '');
  if (wanted.length === 0 || wanted.length !== given.length || !timingSafeEqual(wanted, given))
    throw forbidden('the CSRF token is missing or wrong', 'csrf_token');
}

/** Where the routes beside this file are; the API may be at several paths, and its pages sign in too. */
function refreshPath(c: Context<Env>): string {
  return c.req.path.replace(/\/(?:browser|pages)\/[^/]*(?:\/mfa)?$/, '/browser');
}
