/** `respond`: the same response for every request. */
import type { Reply } from '../contract/policy.ts';
import type { FixedResponse } from '../contract/snapshot.ts';
import type { RouteAction } from '../exchange/active-config.ts';

export function respondAction({ status, headers, body }: FixedResponse): RouteAction {
  const reply: Reply = { status, headers, body: Buffer.from(body, 'utf8') };
  return { open: () => reply };
}
