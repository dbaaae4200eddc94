/** Options of `faultInjection`. */
import * as z from 'zod';
import { duration, ratio } from '../../base/zod-units.ts';
import { headerName } from '../auth/schema-parts.options.ts';
import { definePolicyOptions } from '../contract/options.ts';
import type { FaultInjectionSettings } from './fault-injection.ts';

const share = () => ratio().prefault('100%').describe('Share of the requests; each is drawn by itself.');

const faultInjectionSchema = z
  .strictObject({
    when: z
      .strictObject({
        header: headerName().describe('Field that a request must have.'),
        value: z.string().min(1).max(200).optional().describe('Its value. Default: any.'),
      })
      .optional()
      .describe('Only these requests. Default: all.'),
    delay: z
      .strictObject({
        time: duration({ min: 1, max: 60_000 }).describe('How long the request waits here before it goes on.'),
        share: share(),
      })
      .optional()
      .describe('Makes requests slow.'),
    abort: z
      .strictObject({
        status: z.int().min(400).max(599).prefault(503).describe('Status of the response; the service is not asked.'),
        share: share(),
      })
      .optional()
      .describe('Makes requests fail, after the delay if they have one.'),
  })
  .refine(({ delay, abort }) => delay !== undefined || abort !== undefined, 'needs delay or abort')
  .describe(
    'Makes requests slow or fail on purpose, to try out clients, time-outs and alerts. `check` and start warn of it.',
  );

export const faultInjectionOptions = definePolicyOptions({
  key: 'faultInjection',
  policy: 'fault-injection',
  schema: faultInjectionSchema,
  levels: ['service', 'route'],
  compile({ when, delay, abort }, context) {
    context.warning('requests are made to fail on purpose');
    const settings: FaultInjectionSettings = {
      when: when === undefined ? null : { header: when.header.toLowerCase(), value: when.value ?? null },
      delay: delay === undefined ? null : { timeMs: delay.time, share: delay.share },
      abort: abort === undefined ? null : { status: abort.status, share: abort.share },
    };
    return [{ name: 'fault-injection', options: settings }];
  },
});
