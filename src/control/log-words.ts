/**
 * What the gateway prints or logs and its own commands look for: `gatehouse dev` reads what `gatehouse start` writes.
 */

/** Of `start`, before each address, once it takes requests. */
export const LISTENS = 'gatehouse listens on';
/** In the log when a reload left something for the next start. */
export const NEEDS_RESTART = 'some settings take effect at the next start only';
