/**
 * What the registry's file holds. Apart from file-store.ts, which loads it with its first reading, since it needs the
 * schema library: the main thread of a gateway whose registry has no file does without.
 */
import * as z from 'zod';

const time = z.number().min(0);
export const contentSchema = z.object({
  version: z.literal(1),
  leases: z.array(
    z.object({
      service: z.string(),
      id: z.string(),
      url: z.string(),
      weight: z.number(),
      zone: z.string().nullable(),
      metadata: z.record(z.string(), z.string()),
      leaseMs: z.number().positive(),
      registeredAtMs: time,
      heldUntilMs: time,
    }),
  ),
  comebacks: z.array(z.object({ service: z.string(), url: z.string(), atMs: z.array(time) })),
});
