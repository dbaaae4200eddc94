/** The key `rotate` of log files; what it asks for is done by file-rotation.ts. */
import * as z from 'zod';
import { duration, size } from '../base/zod-units.ts';
import type { RotationPlan } from './file-rotation.ts';

export const rotationSchema = z
  .strictObject({
    size: size({ min: 1_024 }).optional().describe('Size at which the file is moved away.'),
    every: duration({ min: 1_000 })
      .optional()
      .describe('Age at which it is moved away, such as `1d`, counted from its first line.'),
    keep: z.int().min(1).max(10_000).prefault(7).describe('Moved files that stay; older ones are deleted.'),
  })
  .check(({ value, issues }) => {
    if (value.size === undefined && value.every === undefined)
      issues.push({ code: 'custom', input: value, message: 'needs size or every' });
  });

export function rotationPlan(options: z.output<typeof rotationSchema> | undefined): RotationPlan | null {
  if (options === undefined) return null;
  return { maxBytes: options.size ?? null, everyMs: options.every ?? null, keep: options.keep };
}
