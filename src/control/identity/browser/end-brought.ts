/** Ends the sessions of the cookies that a browser brought: a session is always begun anew, never taken over. */
import type { Context } from 'hono';
import type { IdentityContext } from '../context.ts';
import type { Env } from '../http/actor.ts';
import { endSessions, sessionOfRefreshToken } from '../sessions/end.ts';
import { accessCookie, refreshCookies } from './cookies.ts';

export async function endBrought(context: IdentityContext, c: Context<Env>): Promise<void> {
  const found = new Set<string>();
  for (const refresh of refreshCookies(context, c).slice(0, 4)) {
    const known = await sessionOfRefreshToken(context, refresh);
    if (known !== undefined) found.add(known);
  }
  const access = accessCookie(context, c);
  const sid = access === undefined ? undefined : (await context.tokens.verify(access))?.['sid'];
  if (typeof sid === 'string') found.add(sid);
  if (found.size > 0) await endSessions(context, found, c.get('caller'));
}
