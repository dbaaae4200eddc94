/**
 * Options of `use` and what they compile to.
 */
import * as z from 'zod';
import { duration } from '../../base/zod-units.ts';
import { definePolicyOptions, type OptionContext } from '../contract/options.ts';
import type { UseSettings } from '../user-policies/user-policies.ts';
import { compileModule, moduleFile } from './module.options.ts';

const file = () => moduleFile('definePolicy');

const entry = z.strictObject({
  policy: file(),
  options: z
    .json()
    .prefault({})
    .describe('Handed to the policy’s `create`, after its own schema has checked them. Default: none.'),
  timeout: duration({ min: 1, max: 300_000 })
    .prefault('1s')
    .describe('Longest wait for a promise of one of its hooks; then 504.'),
  onBroken: z
    .enum(['fail', 'skip'])
    .prefault('fail')
    .describe(
      'What happens to requests after the policy was taken out of use, because it did not return several times: 503, or the policy is left out. `skip` is refused for a policy that guards (arrival, authenticate, authorize, limit).',
    ),
});

type Entry = z.output<typeof entry>;

const useSchema = z
  .union([
    file(),
    z
      .array(z.union([file(), entry]))
      .min(1)
      .max(32),
  ])
  .describe(
    'Policies in files of your own, run after the built-in ones of the same phase: those of the gateway first, then of the service, then of the route, each in the order written.',
  );

export const useOptions = definePolicyOptions({
  key: 'use',
  schema: useSchema,
  levels: ['gateway', 'service', 'route'],
  combine: 'all',
  compile(options, context) {
    const written = typeof options === 'string' ? [options] : options;
    return written.flatMap((each, index) => {
      const at = typeof options === 'string' ? [] : [index];
      const compiled =
        typeof each === 'string'
          ? compileEntry(entry.parse({ policy: each }), context, at, at)
          : compileEntry(each, context, [...at, 'policy'], [...at, 'options']);
      return compiled === undefined ? [] : [{ name: 'use', options: compiled }];
    });
  },
});

type At = readonly (string | number)[];

function compileEntry(options: Entry, context: OptionContext, at: At, atOptions: At): UseSettings | undefined {
  const found = compileModule('policy', options.policy, options.options, context, at, atOptions);
  if (found === undefined) return undefined;
  return { ...found, options: options.options, timeoutMs: options.timeout, onBroken: options.onBroken };
}
