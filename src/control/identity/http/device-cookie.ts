/** Leaves the cookie by which an account knows the browser again (accounts/devices.ts). Called after each sign-in. */
import type { Context } from 'hono';
import { setCookie } from 'hono/cookie';
import { DEVICE_COOKIE, DEVICE_COOKIE_SECONDS, rememberDevice } from '../accounts/devices.ts';
import type { IdentityContext } from '../context.ts';
import type { Env } from './actor.ts';

export function knowDevice(context: IdentityContext, c: Context<Env>, userId: string): void {
  setCookie(c, DEVICE_COOKIE, rememberDevice(context, userId, c.get('caller').device), {
    httpOnly: true,
    sameSite: 'Lax',
    secure: context.options.publicUrl.startsWith('https:'),
    path: '/',
    maxAge: DEVICE_COOKIE_SECONDS,
  });
}
