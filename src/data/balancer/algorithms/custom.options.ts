/** Options of `algorithm: custom` in `loadBalancing`: the file that has the algorithm, and what it is created with. */
import * as z from 'zod';
import { defineBalancerOptions } from '../../contract/options.ts';
import type { CustomOptions } from './custom.ts';

export const customOptions = defineBalancerOptions({
  algorithm: 'custom',
  schema: z.strictObject({
    file: z
      .string()
      .regex(/\.(ts|mts|js|mjs)$/, 'must be a TypeScript or JavaScript module')
      .describe(
        'Module whose default export is made with `defineBalancer`, relative to the configuration file. It runs inside the gateway with all its rights: name only files that you trust.',
      ),
    options: z
      .record(z.string(), z.json())
      .prefault({})
      .describe('Handed to the algorithm’s `create` as written. The gateway does not look inside.'),
  }),
  compile({ file, options }, context): CustomOptions | undefined {
    // Read once here so that a missing file is a problem of the configuration, with its line, and not of a worker.
    if (context.readText(file, { at: ['file'] }) === undefined) return undefined;
    return { file: context.resolve(file), options };
  },
});
