/** The key `gateway.securityEvents`: where security events go and which ones. */
import * as z from 'zod';
import { defineSection } from '../config/section.ts';
import type { RotationPlan } from '../file-rotation.ts';
import { rotationPlan, rotationSchema } from '../file-rotation-options.ts';

export interface SecurityEventsPlan {
  /** Null: standard output. */
  readonly file: string | null;
  /** Names, and beginnings of names such as `session.`. */
  readonly leftOut: readonly string[];
  readonly rotation: RotationPlan | null;
}

const name = z
  .string()
  .max(100)
  .regex(/^[a-z][a-z0-9-]*(\.[a-z0-9-]+)*(\.\*)?$/, 'must be the name of an event, or the beginning of names and .*');

export const securityEventsSection = defineSection({
  at: 'gateway',
  key: 'securityEvents',
  schema: z
    .strictObject({
      to: z
        .union([
          z.literal('stdout'),
          z.strictObject({ file: z.string().min(1).max(4_096).describe('File that lines are added to.') }),
        ])
        .prefault('stdout')
        .describe('`stdout`, where each line has `"log":"security"`, or `{ file: ... }`.'),
      leaveOut: z
        .array(name)
        .max(200)
        .prefault([])
        .describe('Events that are not written, by name, or as `session.*` by the beginning of names.'),
      rotate: rotationSchema.optional().describe('Rotation of the file. Default: none.'),
    })
    .describe(
      'Security events as a stream of their own, one JSON object a line: failed sign-ins, credentials and messages refused, bans, what operators did. Default: none.',
    ),
  compile(options, context): SecurityEventsPlan | null {
    if (options === undefined) return null;
    const { to, leaveOut, rotate } = options;
    if (to === 'stdout' && rotate !== undefined) context.problem('needs a file', { at: ['rotate'] });
    return {
      file: to === 'stdout' ? null : context.resolve(to.file),
      leftOut: leaveOut.map((each) => (each.endsWith('.*') ? each.slice(0, -1) : each)),
      rotation: rotationPlan(rotate),
    };
  },
});
