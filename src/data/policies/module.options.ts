/**
 * Modules of users as configuration names them. Each file is loaded once here, in a process of its own, and its options
 * are checked against its schema, so that what is wrong is a problem of the configuration with its line.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import * as z from 'zod';
import { ownScript } from '../../base/own-script.ts';
import type { KeyPath, OptionContext } from '../contract/options.ts';
import { textsId } from '../contract/policy-watch.ts';
import type { CheckRequest, CheckResult } from '../user-policies/check-policy.ts';
import type { ModuleKind } from '../user-policies/definition.ts';
import { moduleFiles } from '../user-policies/module-files.ts';

/** `madeWith`: the function that makes its default export. */
export const moduleFile = (madeWith: string) =>
  z
    .string()
    .regex(/\.(ts|mts|js|mjs)$/, 'must be a TypeScript or JavaScript module')
    .describe(
      `Module whose default export is made with \`${madeWith}\`, relative to the configuration file. Security: it runs inside the gateway with all its rights; name only files that you trust.`,
    );

/** Undefined: it is not usable, and the problem has been said. `at`: where its path stands. */
export function compileModule(
  kind: ModuleKind,
  written: string,
  options: unknown,
  context: OptionContext,
  at: KeyPath,
  atOptions: KeyPath,
): { readonly file: string; readonly version: string } | undefined {
  const file = context.resolve(written);
  const found = moduleFiles(file, (name, importedBy) =>
    context.readText(name, { at, got: JSON.stringify(importedBy === null ? written : name) }),
  );
  if (found === undefined) return undefined;
  const result = checked({ kind, file, version: found.version, options });
  if (result.ok) {
    context.shared?.(textsId({ file, version: found.version }), found.texts);
    return { file, version: found.version };
  }
  context.problem(result.message, {
    at: result.path === null ? at : [...atOptions, ...result.path],
    ...(result.expected === undefined ? {} : { expected: result.expected }),
  });
  return undefined;
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
  const { output, error } = spawnSync(process.execPath, ownScript(CHECKER, request), {
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
