/** The route action `handler`: its schema, and what it compiles to. */
import * as z from 'zod';
import { duration } from '../../base/zod-units.ts';
import type { OptionContext } from '../contract/options.ts';
import type { ModuleSettings } from '../contract/snapshot.ts';
import { compileModule, moduleFile } from './module.options.ts';

export const handlerSchema = z
  .union([
    moduleFile('defineHandler'),
    z.strictObject({
      file: moduleFile('defineHandler'),
      options: z
        .json()
        .prefault({})
        .describe('Handed to the handler as `context.options`, after its own schema has checked them.'),
      timeout: duration({ min: 1, max: 3_600_000 })
        .prefault('30s')
        .describe('Longest wait for its `Response`; then 504. The body may take longer.'),
    }),
  ])
  .describe('Action: a function in a file of your own makes the response; a text is the file.');

const DEFAULT_TIMEOUT_MS = 30_000;

/** What is wrong is told to `context`; the result counts only if nothing was. */
export function compileHandler(written: z.output<typeof handlerSchema>, context: OptionContext): ModuleSettings {
  const { file, options, timeout } =
    typeof written === 'string' ? { file: written, options: {}, timeout: DEFAULT_TIMEOUT_MS } : written;
  const at = typeof written === 'string' ? [] : ['file'];
  const found = compileModule('handler', file, options, context, at, ['options']);
  return { file: found?.file ?? '', version: found?.version ?? '', options, timeoutMs: timeout };
}
