/**
 * What is public about policies that read or change bodies, beside the other hooks (user-policy.ts). A hook
 * `requestBody` or `responseBody` says what it needs: all of a body up to a limit, its JSON value, or its pieces as
 * they come. Routes without such a policy stream as before.
 */
import type { PolicyCall, PolicyExchange, PolicyRequest, Refusal } from './user-policy.ts';

/** Known by this mark and not by a class, since a bundled policy brings classes of its own. */
export const BODY_KIND = Symbol.for('gatehouse.body');

interface BodyRules {
  /** Content types that it is about, such as `text/*`. Default: all; of `jsonBody` `application/json` and `+json`. */
  readonly types?: readonly string[];
  /**
   * Bodies of other types: `pass` unchanged, or `refuse` them (415; a response becomes 502). Default: `refuse` in
   * requests, so that no client gets around the policy by another type, and `pass` in responses.
   */
  readonly otherTypes?: 'pass' | 'refuse';
}

export interface WholeBodyRules extends BodyRules {
  /** Largest body, in bytes: it is held in memory. A longer request is 413, a longer response 502. */
  readonly maxBytes: number;
}

export interface JsonBodyRules extends WholeBodyRules {
  /** Deepest nesting. Default 64. */
  readonly maxDepth?: number;
}

export interface BodyStreamRules extends BodyRules {
  /**
   * The head of a response waits for the first piece, so that fields can be changed and the response refused until
   * then. Default false.
   */
  readonly holdHead?: boolean;
}

/** Nothing leaves the body as it is. */
// biome-ignore lint/suspicious/noConfusingVoidType: a hook that ends without `return` is right
export type WholeBodyResult = Uint8Array | string | Refusal | undefined | void;

/** Gets all of the body as it was sent; a response is unpacked, a request only where `decompression` does that. */
export type WholeBodyChange<Exchange> = (
  body: Buffer,
  exchange: Exchange,
  call: PolicyCall,
) => WholeBodyResult | Promise<WholeBodyResult>;

/** Gets the value, gives a new one, a refusal, or `undefined` to leave the body as it is. It may be asynchronous. */
export type JsonBodyChange<Exchange> = (value: unknown, exchange: Exchange, call: PolicyCall) => unknown;

/**
 * Gets the pieces as they come and gives those that are sent in their place. Bytes are taken from the one side as fast
 * as the other takes them. A refusal that it throws ends the request: as a response as long as nothing was sent, else
 * as a broken one. What is no generator, `undefined`, leaves the body as it is.
 */
export type BodyStreamChange<Exchange> = (
  pieces: AsyncIterable<Buffer>,
  exchange: Exchange,
) => AsyncIterable<Uint8Array | string> | undefined;

export type BodyHook<Exchange> =
  | { readonly [BODY_KIND]: 'whole'; readonly rules: WholeBodyRules; readonly change: WholeBodyChange<Exchange> }
  | { readonly [BODY_KIND]: 'json'; readonly rules: JsonBodyRules; readonly change: JsonBodyChange<Exchange> }
  | { readonly [BODY_KIND]: 'stream'; readonly rules: BodyStreamRules; readonly change: BodyStreamChange<Exchange> };

export type RequestBodyHook = BodyHook<PolicyRequest>;
export type ResponseBodyHook = BodyHook<PolicyExchange>;

/**
 * All of the body:
 *
 *     requestBody: wholeBody({ maxBytes: 1_000_000 }, (body, request) =>
 *       isSigned(body, request.header('x-signature')) ? undefined : refuse(401)),
 */
export function wholeBody<Exchange extends PolicyRequest>(
  rules: WholeBodyRules,
  change: WholeBodyChange<Exchange>,
): BodyHook<Exchange> {
  return { [BODY_KIND]: 'whole', rules, change };
}

/** Its JSON value: `responseBody: jsonBody({ maxBytes: 1_000_000 }, (value) => ({ data: value }))`. */
export function jsonBody<Exchange extends PolicyRequest>(
  rules: JsonBodyRules,
  change: JsonBodyChange<Exchange>,
): BodyHook<Exchange> {
  return { [BODY_KIND]: 'json', rules, change };
}

/**
 * Its pieces:
 *
 *     requestBody: bodyStream(async function* (pieces, request) {
 *       for await (const piece of pieces) yield piece;
 *     }),
 */
export function bodyStream<Exchange extends PolicyRequest>(
  change: BodyStreamChange<Exchange>,
  rules: BodyStreamRules = {},
): BodyHook<Exchange> {
  return { [BODY_KIND]: 'stream', rules, change };
}
