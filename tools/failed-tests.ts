/**
 * A reporter for `node --test`: one JSON line `[file, test]` for each test that failed, where `file` is the file that
 * was run, not the one the test's text stands in (suites are shared), and an empty line for each that passed, so that
 * the age of the file tells whether anything goes on. `run-tests.ts` reads it.
 */
import type { TestEvent } from 'node:test/reporters';

export default async function* failedTests(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const { type, data } of events) {
    if (type === 'test:pass') yield '\n';
    if (type !== 'test:fail') continue;
    const { entryFile, file, name } = data as { entryFile?: string; file?: string; name: string };
    yield `${JSON.stringify([entryFile ?? file ?? name, name])}\n`;
  }
}
