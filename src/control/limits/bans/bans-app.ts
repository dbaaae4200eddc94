/**
 * The API of bans, for administrators.
 *
 *   GET    /bans                    those that hold; ?kind=address|user|key, ?subject=..., ?all=true
 *   POST   /bans                    { kind, subject, reason, for }: `for` is a duration such as 1h, or `ever`
 *   DELETE /bans/:id                lifts one: 204
 */
import { type Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import * as z from 'zod';
import type { Clock } from '../../../base/clock.ts';
import { parseDurationMs } from '../../../base/units.ts';
import { cidr } from '../../../base/zod-units.ts';
import type { ErrorFormat } from '../../../data/contract/snapshot.ts';
import { fieldProblems } from '../../field-problems.ts';
import { REFUSALS, type ReadCaller, type Refusal, refuse } from '../http.ts';
import type { Ban, BanBook } from './bans.ts';

export interface BansAppParts {
  readonly bans: BanBook;
  readonly caller: ReadCaller;
  /** False without the key `abuse`: then only the listener asks, and that knows addresses alone. */
  readonly watches: () => boolean;
  readonly errorFormat: () => ErrorFormat;
  readonly clock: Clock;
}

const MAX_BODY_BYTES = 8 * 1024;
const LONGEST_MS = 3_650 * 86_400_000;

const kind = z.enum(['address', 'user', 'key']);
/** Body of `POST /bans`. */
export const banBody = z.strictObject({
  kind: kind.prefault('address'),
  subject: z.string().trim().min(1).max(256),
  reason: z.string().trim().max(500).prefault('banned by an administrator'),
  for: z.union([z.string(), z.number()]).prefault('1h'),
});

/** Of `GET /bans`; the API document is made of it. */
export const bansQuery = z.object({
  kind: z.enum(['address', 'user', 'key'], 'address, user or key').optional(),
  subject: z.string().optional(),
  all: z.enum(['true', 'false'], 'true or false').optional(),
});

/** A ban that is not enforced must not look like one. */
const NOT_ENFORCED: Refusal = {
  status: 409,
  code: 'BANS_NOT_ENFORCED',
  message: 'users and keys are only looked at where the configuration has the key abuse; abuse: {} is enough',
};

export function createBansApp({ bans, caller, watches, errorFormat, clock }: BansAppParts): Hono {
  const app = new Hono();
  const no = (context: Context, refusal: Refusal): Response => refuse(context, refusal, errorFormat(), clock.wallMs());

  app.use('/bans/*', async (context, next) => {
    const who = caller(context);
    if (who === null) return no(context, REFUSALS.unauthenticated);
    if (!who.isAdmin) return no(context, REFUSALS.forbidden);
    context.header('cache-control', 'no-store');
    return await next();
  });

  app.get('/bans', async (context) => {
    const asked = context.req.query();
    const read = bansQuery.safeParse(asked);
    if (!read.success) {
      const fields = fieldProblems(read.error, asked);
      const message = `${fields[0]?.field ?? 'the query'} is not valid`;
      return no(context, { status: 400, code: 'VALIDATION_ERROR', message, fields });
    }
    const { kind: named, subject, all } = read.data;
    const found = await bans.list({ kind: named, subject, all: all === 'true' });
    return context.json({ bans: found.map(shown) });
  });

  app.post(
    '/bans',
    bodyLimit({ maxSize: MAX_BODY_BYTES, onError: (context) => no(context, REFUSALS.tooLarge) }),
    async (context) => {
      const body: unknown = await context.req.json().catch(() => undefined);
      const read = banBody.safeParse(body);
      if (!read.success) {
        const fields = fieldProblems(read.error, body);
        return no(context, { status: 400, code: 'VALIDATION_ERROR', message: 'the request is not valid', fields });
      }
      const { data } = read;
      const forMs = data.for === 'ever' ? null : parseDurationMs(data.for);
      if (forMs === undefined || (forMs !== null && (forMs < 1_000 || forMs > LONGEST_MS))) {
        return no(context, invalid('for', String(data.for), 'a duration from 1s to ten years, or ever'));
      }
      const subject =
        data.kind === 'address' ? cidr().safeParse(data.subject) : { success: true as const, data: data.subject };
      if (!subject.success) return no(context, invalid('subject', data.subject, 'an address or a CIDR block'));
      if (data.kind !== 'address' && !watches()) return no(context, NOT_ENFORCED);
      const madeBy = caller(context)?.name ?? 'unknown';
      const ban = await bans.ban({ kind: data.kind, subject: subject.data, reason: data.reason, madeBy, forMs });
      return context.json(shown(ban), 201);
    },
  );

  app.delete('/bans/:id', async (context) => {
    const by = caller(context)?.name ?? 'unknown';
    if (await bans.lift(context.req.param('id'), by)) return context.body(null, 204);
    return no(context, { status: 404, code: 'RESOURCE_NOT_FOUND', message: 'no such ban holds' });
  });

  return app;
}

function invalid(field: string, value: string, expected: string): Refusal {
  return {
    status: 400,
    code: 'VALIDATION_ERROR',
    message: `${field} is not valid`,
    fields: [{ field, value, expected }],
  };
}

function shown(ban: Ban) {
  const time = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());
  return {
    id: ban.id,
    kind: ban.kind,
    subject: ban.subject,
    reason: ban.reason,
    made_by: ban.madeBy,
    made_at: time(ban.madeAtMs),
    ends_at: time(ban.endsAtMs),
    lifted_at: time(ban.liftedAtMs),
    lifted_by: ban.liftedBy,
    strikes: ban.strikes,
  };
}
