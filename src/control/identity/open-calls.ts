/** Which calls strangers may make; what one address may ask of them is limited (`identity.addressLimits.calls`). */

/**
 * Below a mount of the API, as a regular expression. Introspection is not among them: it is for services, which ask for
 * many.
 */
export const OPEN_CALLS: string =
  '/(?:register|verify-email|login(?:/.*)?|refresh|logout|browser/(?:login(?:/mfa)?|refresh|logout|session)|password/(?:forgot|reset)|setup|pages/.*|passkeys/challenge|outside/(?:exchange|[^/]+/(?:start|callback)))';

/**
 * Of these, what people need once in a while, each behind a look-up or a hash: one address makes a fifth as many, so
 * that a flood of made-up codes ends in the workers after a few.
 */
export const RARE_CALLS: string =
  '/(?:setup|register|verify-email|password/(?:forgot|reset)|pages/(?:setup|verify-email|reset-password|forgot-password))';

/** Below `identity.oauth.path`. Not the endpoints of applications, which speak for many people from one address. */
export const OPEN_OAUTH_CALLS: string = '/(?:auth|interaction|device|session)(?:/.*)?';

/** The whole path of either, below `mount`. */
export function openCalls(mount: string, calls: string): string {
  return `^${mount.replaceAll(/[^\w/]/g, '\\$&')}${calls}$`;
}
