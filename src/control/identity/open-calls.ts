/** Which calls strangers may make; what one address may ask of them is limited (`identity.addressLimits.calls`). */

/**
 * Below a mount of the API, as a regular expression. Introspection is not among them: it is for services, which ask for
 * many.
 */
export const OPEN_CALLS: string =
  '/(?:register|verify-email|login(?:/.*)?|refresh|logout|browser/(?:login(?:/mfa)?|refresh|logout|session)|password/(?:forgot|reset)|setup|pages/.*|passkeys/challenge|outside/(?:exchange|[^/]+/(?:start|callback)))';

/** Below `identity.oauth.path`. Not the endpoints of applications, which speak for many people from one address. */
export const OPEN_OAUTH_CALLS: string = '/(?:auth|interaction|device|session)(?:/.*)?';

/** The whole path of either, below `mount`. */
export function openCalls(mount: string, calls: string): string {
  return `^${mount.replaceAll(/[^\w/]/g, '\\$&')}${calls}$`;
}
