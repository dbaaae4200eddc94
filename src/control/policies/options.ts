/** The key `gateway.policies`: what is granted to policies in users' own files, whichever routes name them. */
import * as z from 'zod';
import { duration, size } from '../../base/zod-units.ts';
import { defineSection } from '../config/section.ts';

export interface PoliciesPlan {
  readonly loopTimeoutMs: number;
  /** Of a worker; null: as Node.js has it. */
  readonly heapBytes: number | null;
}

export const policiesSection = defineSection({
  at: 'gateway',
  key: 'policies',
  schema: z
    .strictObject({
      loopTimeout: duration({ min: 200, max: 60_000 })
        .prefault('2s')
        .describe(
          'A policy that runs so long without returning is taken for an endless loop: its worker is ended and replaced, which breaks the connections of that worker. After three times in ten minutes the policy is out of use until its file changes.',
        ),
      memory: size({ min: 32 * 1024 ** 2, max: 64 * 1024 ** 3 })
        .optional()
        .describe(
          'Heap of a worker (JavaScript objects, not buffers of bodies). A policy that takes more and more memory ends its worker there, which is replaced, and not the machine. Holds for workers that start from then on. Default: what Node.js gives by the size of the machine.',
        ),
    })
    .describe('What is granted to policies in files of your own (`use`).'),
  compile: (options): PoliciesPlan => ({
    loopTimeoutMs: options?.loopTimeout ?? 2_000,
    heapBytes: options?.memory ?? null,
  }),
});
