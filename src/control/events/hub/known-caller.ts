/** Who a client of the hub is, and until when. */
import type { ChannelCall } from '../../../data/contract/events.ts';
import type { Caller } from './rights.ts';

export interface KnownCaller extends Caller {
  /** Milliseconds since 1970; null: never. */
  readonly expiresMs: number | null;
}

export function callerOf(call: ChannelCall): KnownCaller {
  return {
    user: call.caller,
    account: call.account,
    plan: call.plan,
    roles: call.roles ?? [],
    scopes: call.scopes ?? [],
    expiresMs: call.expires === null ? null : call.expires * 1_000,
  };
}
