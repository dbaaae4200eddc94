/** What the registry's file holds; loaded where there is one (file-store.ts). */
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
