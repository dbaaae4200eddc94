/**
 * Options of `use` and what they compile to. Each file is loaded once here, in a process of its own, and its options are
 * checked against the policy's schema, so that what is wrong is a problem of the configuration with its line.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import * as z from 'zod';
import { duration } from '../../base/zod-units.ts';
import { definePolicyOptions, type OptionContext } from '../contract/options.ts';
import type { CheckRequest, CheckResult } from '../user-policies/check-policy.ts';
import { moduleFiles } from '../user-policies/module-files.ts';
import type { UseSettings } from '../user-policies/user-policies.ts';

const file = () =>
  z
    .string()
    .regex(/\.(ts|mts|js|mjs)$/, 'must be a TypeScript or JavaScript module')
    .describe(
      'Module whose default export is made with `definePolicy`, relative to the configuration file. Security: it runs inside the gateway with all its rights; name only files that you trust.',
    );

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

export const useSchema = z
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
  const path = context.resolve(options.policy);
  const found = moduleFiles(path, (name, importedBy) =>
    context.readText(name, { at, got: JSON.stringify(importedBy === null ? options.policy : name) }),
  );
  if (found === undefined) return undefined;
  const result = checked({ file: path, version: found.version, options: options.options });
  if (!result.ok) {
    const place = result.path === null ? at : [...atOptions, ...result.path];
    context.problem(result.message, {
      at: place,
      ...(result.expected === undefined ? {} : { expected: result.expected }),
    });
    return undefined;
  }
  return {
    file: path,
    version: found.version,
    options: options.options,
    timeoutMs: options.timeout,
    onBroken: options.onBroken,
  };
}

/** Compilations follow each other (discovery makes one with each change of instances); most find everything here. */
const known = new Map<string, CheckResult>();
const MAX_KNOWN = 1_000;
const SLOWEST_MS = 15_000;
const CHECKER = fileURLToPath(
  new URL(`../user-policies/check-policy${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url),
);

function checked(request: CheckRequest): CheckResult {
  const key = JSON.stringify(request);
  const before = known.get(key);
  if (before !== undefined) return before;
  const result = runChecker(key);
  if (known.size >= MAX_KNOWN) known.clear();
  known.set(key, result);
  return result;
}

function runChecker(request: string): CheckResult {
  const { output, error } = spawnSync(process.execPath, ['--no-warnings', CHECKER, request], {
    encoding: 'utf8',
    timeout: SLOWEST_MS,
    killSignal: 'SIGKILL',
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  });
  const text = output?.[3] ?? '';
  if (text !== '') return JSON.parse(text) as CheckResult;
  const isLate = (error as NodeJS.ErrnoException | undefined)?.code === 'ETIMEDOUT';
  const message = isLate
    ? `the file did not load within ${SLOWEST_MS / 1_000} s`
    : 'the file ended the process that loaded it';
  return { ok: false, message, path: null };
}
