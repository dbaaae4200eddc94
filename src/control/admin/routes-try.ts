/** Trying a request over HTTP: which route takes it, what it meets on its way, and what came of it. */
import * as z from 'zod';
import { messageOf } from '../../base/errors.ts';
import { POLICY_PHASES } from '../../base/vocabulary.ts';
import { PHASES_OF_POLICY } from '../../data/contract/policy-phases.ts';
import { AdminError, type Kit, operation } from './kit.ts';
import { tried } from './responses.ts';
import { tryRequest, type Watching } from './try-request.ts';

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
      response: tried,
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
        const came = await tryRequest(body, host.addresses(), watching);
        return { ...came, ...(explained as object), phases: phasesOf(explained.route?.policies ?? []) };
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
