/** The metrics of a gateway as series, and a wait until they are what the traffic of a test makes them. */
import assert from 'node:assert/strict';
import { until } from './until.ts';

/** What a series should be. */
export type Wanted = number | ((value: number) => boolean);
/** A name with its labels as they are written; a name alone is any series of it, a histogram's by its count. */
export type Expectation = readonly [series: string, wanted: Wanted];

/** Threads tell of themselves every few seconds. */
const PATIENCE_MS = 60_000;

export const some = (value: number): boolean => value > 0;

export async function readSeries(url: string): Promise<Map<string, number>> {
  const text = await (await fetch(`${url}/metrics/prometheus`)).text();
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  );
}

/** Waits until all are right; fails with those that are not. */
export async function assertSeries(url: string, expectations: readonly Expectation[]): Promise<void> {
  let wrong: string[] = [];
  const allAreRight = async (): Promise<boolean> => {
    const found = await readSeries(url);
    wrong = expectations.flatMap(([series, wanted]) => {
      const named = [...found].filter(
        ([name]) => name === series || (!series.includes('{') && nameOf(name) === series),
      );
      const isRight = named.some(([, value]) => (typeof wanted === 'number' ? value === wanted : wanted(value)));
      return isRight ? [] : [`${series}: ${named.map(([, value]) => value).join()}`];
    });
    return wrong.length === 0;
  };
  await until(allAreRight, 'all are right', PATIENCE_MS).catch(() => {});
  assert.deepEqual(wrong, []);
}

/** A histogram is found by its count. */
function nameOf(series: string): string {
  return series.split('{', 1)[0]!.replace(/_count$/, '');
}
