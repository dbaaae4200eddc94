/**
 * The key `abuse` of the gateway and of routes: only whether callers are watched there. What is watched is the section
 * `abuse`.
 */
import * as z from 'zod';
import { definePolicyOptions } from '../contract/options.ts';
import type { AbuseSettings } from './abuse.ts';

export const abuseOptions = definePolicyOptions({
  key: 'abuse',
  schema: z
    .enum(['on'])
    .describe(
      'Keeps banned callers out and counts what they do wrong, by the rules of the top-level key `abuse`. A route with `off` does neither.',
    ),
  levels: ['gateway', 'route'],
  policy: 'abuse',
  whenAbsent: () => 'on' as const,
  compile(_options, context) {
    // Without rules and bans nobody is watched, and no request pays for it.
    if (context.document?.['abuse'] === undefined) return [];
    const settings: AbuseSettings = {};
    return [{ name: 'abuse', options: settings }];
  },
});
