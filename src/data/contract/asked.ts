/**
 * What workers count of requests that the gateway makes for one of a client: parts of compositions, and of handlers.
 */

/** Worker to main: differences of counts, by `kind<tab>route<tab>name<tab>outcome`. */
export const ASKED_TOPIC = 'services:asked';

/** `part` and `failed`: by the part's name; `call`: of a handler, by the service's name. */
export type AskedKind = 'part' | 'failed' | 'call';
