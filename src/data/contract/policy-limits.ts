/**
 * What a policy may not change in a message: how it is framed, a status that has no body, a path that leads out of where
 * it belongs. Each throws a TypeError, which is the policy's failure and not a split message. The same in
 * `gatehouse/testing`.
 */

const FRAMING =
  /^(?:host|te|upgrade|trailer|connection|keep-alive|content-length|proxy-connection|transfer-encoding)$/i;
/** By the length of a name: may it be one of those? */
const FRAMING_LENGTHS = [2, 4, 7, 10, 14, 16, 17].reduce((bits, length) => bits | (1 << length), 0);

/** A field that frames a message or belongs to a connection is the gateway's. */
export function checkNotFraming(name: string): void {
  if (name.length < 18 && ((FRAMING_LENGTHS >> name.length) & 1) === 1 && FRAMING.test(name))
    throw new TypeError(`the gateway says ${name} itself`);
}

/** RFC 9110 §15.3.5, §15.3.6, §15.4.5: what follows such a head would be read as the next response. */
const HAS_NO_BODY = [204, 205, 304];

export function checkStatus(status: number): void {
  if (!Number.isInteger(status) || status < 200 || status > 599 || HAS_NO_BODY.includes(status))
    throw new TypeError(`not a status of a response with a body: ${status}`);
}

/** In any spelling: what a policy puts into a path may be the client's. */
const DOT_SEGMENT = /\/(?:\.|%2e){1,2}(?=$|[/;]|%2f|%3b|%5c)/i;

export function checkTarget(path: string, query: string | null): void {
  if (!/^\/[!-~]*$/.test(path) || /[?#\\]/.test(path) || (query !== null && !/^[!-~]*$/.test(query)))
    throw new TypeError(`not a target: ${JSON.stringify(path)}`);
  if (DOT_SEGMENT.test(path)) throw new TypeError(`a target with a dot segment: ${JSON.stringify(path)}`);
}
