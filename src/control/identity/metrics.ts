/**
 * What the identity service counts: sign-ins, failures, tokens, hashes. Shown among the gateway's metrics where it runs
 * inside one, and at its own `/metrics` where it runs by itself (`gatehouse identity`).
 */
import type { ExtraMetric } from '../../base/extra-metric.ts';
import type { IdentityContext } from './context.ts';

export function identityMetrics(context: IdentityContext): ExtraMetric[] {
  const one = (value: number) => [{ labels: {}, value }];
  const { semaphore } = context.hasher;
  return [
    {
      name: 'gatehouse_identity_events_total',
      type: 'counter',
      help: 'Security events by action, such as session.created and login.failed',
      samples: [...context.audit.counts].map(([action, value]) => ({ labels: { action }, value })),
    },
    {
      name: 'gatehouse_identity_tokens_total',
      type: 'counter',
      help: 'Access tokens signed',
      samples: one(context.tokens.minted),
    },
    {
      name: 'gatehouse_identity_address_refusals_total',
      type: 'counter',
      help: 'Calls refused because an address had used up what it may ask for without an account',
      samples: one(context.budget.refused),
    },
    {
      name: 'gatehouse_identity_hashes_running',
      type: 'gauge',
      help: 'Password hashes being computed',
      samples: one(semaphore.running),
    },
    {
      name: 'gatehouse_identity_hashes_queued',
      type: 'gauge',
      help: 'Password hashes waiting for their turn',
      samples: one(semaphore.queued),
    },
  ];
}
