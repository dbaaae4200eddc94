/**
 * Run as a process of its own by `gatehouse check`, at start and at reload, before a worker sees the file: a module
 * that never ends, ends the process or prints things does no harm here. Gets one JSON argument, writes one JSON line to
 * descriptor 3. `create` is not called: it may open connections, which a check must not.
 */
import { writeSync } from 'node:fs';
import { loadProblem } from '../../base/own-modules.ts';
import { checkedOptions, type ModuleKind, PolicyError, schemaOf } from './definition.ts';
import { loadModule } from './load-module.ts';

export interface CheckRequest {
  readonly file: string;
  readonly version: string;
  readonly options: unknown;
  readonly kind: ModuleKind;
}

export type CheckResult =
  | { readonly ok: true }
  | {
      readonly ok: false;
      readonly message: string;
      readonly path: readonly (string | number)[] | null;
      readonly expected?: string | undefined;
    };

async function check({ file, version, options, kind }: CheckRequest): Promise<CheckResult> {
  try {
    await checkedOptions(schemaOf(await loadModule(file, version), kind), options);
    return { ok: true };
  } catch (error) {
    if (error instanceof PolicyError)
      return { ok: false, message: error.message, path: error.path, expected: error.expected };
    return { ok: false, message: `the file cannot be loaded: ${loadProblem(error)}`, path: null };
  }
}

void check(JSON.parse(process.argv[2] ?? '{}') as CheckRequest).then((result) => {
  writeSync(3, JSON.stringify(result));
  // Whatever the module has begun ends here.
  process.exit(0);
});
