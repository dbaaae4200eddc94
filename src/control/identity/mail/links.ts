/**
 * The links that emails and the start of the service hand out. Without `mail.linkBase` they lead to the service's own
 * pages (pages/account-pages.ts), which have no scripts, so the code is in the query, where a server can read it; the
 * gateway's log leaves queries out. An operator's own page gets it in the fragment, which no server sees.
 */
import type { IdentityOptions } from '../options.ts';

export type LinkAction = 'setup' | 'verify-email' | 'reset-password';

export function linkTo(options: IdentityOptions, action: LinkAction, token: string): string {
  const { linkBase } = options.mail;
  if (linkBase === undefined) {
    const url = new URL(`${options.basePath}/pages/${action}`, options.publicUrl);
    url.searchParams.set('token', token);
    return url.toString();
  }
  const url = new URL(linkBase);
  url.searchParams.set('action', action);
  url.hash = new URLSearchParams({ token }).toString();
  return url.toString();
}
