/** The key `gateway.policies`: what is granted to policies in users' own files, whichever routes name them. */
import * as z from 'zod';
import { duration } from '../../base/zod-units.ts';
import { defineSection } from '../config/section.ts';

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
    })
    .describe('What is granted to policies in files of your own (`use`).'),
  compile: (options): { readonly loopTimeoutMs: number } => ({ loopTimeoutMs: options?.loopTimeout ?? 2_000 }),
});
