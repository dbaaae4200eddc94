/**
 * Sessions of browsers in cookies: the names that the identity service writes and the `auth` policy reads. Scripts see
 * none of the cookies; what they send back to prove that the page itself asks is the CSRF token, which is a claim of
 * the access token in the cookie.
 */

/**
 * Claim of access tokens in cookies, and of no others: what `X-CSRF-Token` must say on a request that may change
 * something.
 */
export const CSRF_CLAIM = 'csrf';
export const CSRF_FIELD = 'x-csrf-token';

/** With https only this host can set them (RFC 6265bis §4.1.3.2), no page of a neighbour. */
export function accessCookieName(publicUrl: string): string {
  return publicUrl.startsWith('https:') ? '__Host-gh_access' : 'gh_access';
}

/**
 * Sent to the paths of sign-in only, hence not `__Host-`, which wants the path `/`. So a neighbour (another subdomain)
 * can plant one; it counts only beside the cookie of its session.
 */
export function refreshCookieName(publicUrl: string): string {
  return publicUrl.startsWith('https:') ? '__Secure-gh_refresh' : 'gh_refresh';
}

/** Says which session this browser has; null without https, where no cookie is bound to a host. */
export function sessionCookieName(publicUrl: string): string | null {
  return publicUrl.startsWith('https:') ? '__Host-gh_session' : null;
}
