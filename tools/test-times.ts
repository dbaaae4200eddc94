/**
 * A reporter for `node --test`, in JSON lines: `{ file, ms }` for each test on the top level of a file, with `failed:
 * NAME` for each test of any level that failed, and an empty line for every other that passed, so that the age of the
 * output tells whether anything goes on. `file` is the file that was run, not the one the test's text stands in (suites
 * are shared). `run-tests.ts` reads it.
 */
import type { TestEvent } from 'node:test/reporters';

export interface TestLine {
  readonly file: string;
  /** How long the test took, in ms; 0 for one within another test, whose time holds it. */
  readonly ms: number;
  /** The name of the test, if it failed. */
  readonly failed?: string;
}

/** What `preload-tests.ts` writes at the end of a file's process. */
export interface CpuLine {
  readonly file: string;
  /** Of all threads and of the processes that it started, in ms. */
  readonly cpuMs: number;
}

export default async function* testTimes(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const { type, data } of events) {
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const { entryFile, file, name, nesting, details } = data as typeof data & { entryFile?: string };
    if (type === 'test:pass' && nesting > 0) {
      yield '\n';
      continue;
    }
    const line: TestLine = {
      file: entryFile ?? file ?? name,
      ms: nesting > 0 ? 0 : details.duration_ms,
      ...(type === 'test:fail' && { failed: name }),
    };
    yield `${JSON.stringify(line)}\n`;
  }
}
