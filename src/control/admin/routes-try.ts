/** Trying a request over HTTP: which route takes it, what it meets on its way, and what came of it. */
import * as z from 'zod';
import { messageOf } from '../../base/errors.ts';
import { PHASES, POLICY_PHASES } from '../../base/vocabulary.ts';
import { PHASES_OF_POLICY } from '../../data/contract/policy-phases.ts';
import { AdminError, type Kit, operation } from './kit.ts';
import { tryRequest, type Watching } from './try-request.ts';

const step = z.object({
  phase: z.enum(PHASES),
  name: z.string().describe('What acted: a policy, a route, an instance, a part; empty for the gateway itself.'),
  startMs: z.number().describe('When it began, in milliseconds since the head of the request was whole.'),
  ms: z.number().describe('How long it took.'),
  failed: z.string().describe('Why it failed or refused the request; empty where it did not.'),
});

export function tryRoutes(kit: Kit, watching: Watching): void {
  const { host } = kit;
  operation(
    kit,
    {
      method: 'post',
      path: '/routes/try',
      tag: 'traffic',
      summary:
        'Sends a request to the gateway itself, and says which route took it, what it met by phase, how long each step took and what came',
      role: 'operator',
      body: z.strictObject({
        method: z.string().regex(/^[A-Z]{1,20}$/, 'a method such as GET'),
        url: z
          .string()
          .min(1)
          .max(8_192)
          .regex(/^(https?:\/\/|\/)[\x21-\x7e]*$/, 'a URL, or a path with or without a query')
          .describe('Of a URL the listener gets scheme, host and path: it goes to this gateway, whatever the host.'),
        headers: z
          .array(
            z
              .string()
              .max(8_192)
              .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*$/, '`Name: value`'),
          )
          .max(100)
          .prefault([]),
        body: z
          .string()
          .max(64 * 1024)
          .prefault('')
          .describe('Text, at most 64 KiB.'),
      }),
      response: z.looseObject({
        status: z.int(),
        times: z.object({ connectMs: z.number(), headMs: z.number(), endMs: z.number() }),
        phases: z
          .array(z.object({ phase: z.enum(PHASES), policies: z.array(z.string()) }))
          .describe('Phases in which policies of the route may act, reached or not.'),
        steps: z.array(step).nullable().describe('In the order in which they began; null where they came too late.'),
        record: z.looseObject({}).nullable().describe('As in the access log, with the times that the gateway took.'),
      }),
      errors: { 502: 'No response came' },
    },
    async ({ body, operator }) => {
      try {
        const explained = host.explain(body.method, body.url, body.headers) as { route: { policies: string[] } | null };
        await host.audit({
          actor: operator.name,
          action: 'admin.request.try',
          target: `${body.method} ${body.url.replace(/\?.*$/, '')}`,
          detail: {},
        });
        const tried = await tryRequest(body, host.addresses(), watching);
        return { ...tried, ...(explained as object), phases: phasesOf(explained.route?.policies ?? []) };
      } catch (error) {
        if (error instanceof RangeError) throw new AdminError(400, 'VALIDATION_ERROR', error.message);
        throw new AdminError(502, 'BAD_GATEWAY', `no response came: ${messageOf(error)}`);
      }
    },
  );
}

/** Phases in which one of the policies may act, in order. */
function phasesOf(policies: readonly string[]) {
  return POLICY_PHASES.map((phase) => ({
    phase,
    policies: policies.filter((name) => PHASES_OF_POLICY[name]?.includes(phase)),
  })).filter((each) => each.policies.length > 0);
}
