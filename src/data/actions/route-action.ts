/**
 * What a route does with a request that passed its policies. One file for each kind of action; a cache or the like wraps
 * one and stands between its source and the exchange.
 */
import type { Fault } from '../../base/errors.ts';
import type { Reply } from '../contract/policy.ts';
import type { Exchange } from '../exchange/exchange.ts';
import type { ResponseHandler, ResponseSource } from '../exchange/response-source.ts';

export interface RouteAction {
  /** Gives the response itself where it is there already, otherwise what it comes from, not yet started. */
  open(exchange: Exchange, handler: ResponseHandler): ResponseSource | Reply | Fault;
}
