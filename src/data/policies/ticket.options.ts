/** The route action `ticket`: its schema, and what it compiles to. */
import * as z from 'zod';
import { duration } from '../../base/zod-units.ts';
import type { OptionContext } from '../contract/options.ts';

export const ticketSchema = z
  .strictObject({
    ttl: duration({ min: 5_000, max: 300_000 }).prefault('30s').describe('How long the ticket can be used, once.'),
  })
  .describe(
    'Action: a ticket for the caller, by which a page opens one WebSocket or event stream on a route with `auth.tickets`: `?ticket=...`.',
  );

export function compileTicket(
  { ttl }: z.output<typeof ticketSchema>,
  context: OptionContext,
): { readonly ttlMs: number } {
  const { document } = context;
  if (document === undefined) return { ttlMs: ttl };
  if (authOfRoute(document, context.path[1]) === 'public')
    context.problem('a route with auth: public knows no caller to make a ticket for', { expected: 'auth: {}' });
  if (!takesTickets(document))
    context.warning('no route takes tickets', { expected: 'auth.tickets on the gateway, a service or a route' });
  return { ttlMs: ttl };
}

type Place = { readonly auth?: { readonly tickets?: unknown } | 'public' };

function authOfRoute(document: Readonly<Record<string, unknown>>, index: string | number | undefined): Place['auth'] {
  const { gateway, routes } = document as {
    readonly gateway?: Place;
    readonly routes?: Readonly<Record<string, Place>>;
  };
  return routes?.[String(index)]?.auth ?? gateway?.auth;
}

function takesTickets(document: Readonly<Record<string, unknown>>): boolean {
  const { gateway, services, routes } = document as {
    readonly gateway?: Place;
    readonly services?: Readonly<Record<string, Place>>;
    readonly routes?: readonly Place[];
  };
  return [gateway ?? {}, ...Object.values(services ?? {}), ...(routes ?? [])].some(({ auth }) => {
    return typeof auth === 'object' && auth.tickets !== undefined && auth.tickets !== 'off';
  });
}
