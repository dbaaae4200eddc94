/**
 * What a match costs with 10 to 10,000 routes: literal paths, parameters, a rest, a miss, virtual hosts, and reading
 * the request target before it. Half of the routes are literal, a third has parameters, the rest ends in `/*`.
 *
 * Each round cuts a fresh path out of a buffer, as the engine does, so that hashing a new string is paid for; the row
 * "cut the path" is that cost alone and is part of every other row. Next to each size stands its ratio to 10 routes.
 */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { readTarget, Target } from '../../src/data/parser/target.ts';
import { buildRouter, RouteMatchResult, type RouterRequest } from '../../src/data/router/router.ts';
import { request, route } from '../../test/support/route-settings.ts';
import { measure } from './measure.ts';
import type { Row } from './row.ts';

const SIZES = [10, 100, 1_000, 10_000];
/** Paths asked for in turn; a power of two. */
const SAMPLES = 1_024;

class Asked implements RouterRequest {
  method = 'GET';
  host = '';
  path = '';
  query = '';
  header(): null {
    return null;
  }
}

/** Names as an API has them: `/api/v1/orders-17/export`. */
function specOf(at: number): string {
  const words = ['users', 'orders', 'invoices', 'projects', 'stories', 'events', 'models'];
  const base = `/api/v${(at % 3) + 1}/${words[at % words.length]}-${Math.floor(at / 6)}`;
  switch (at % 6) {
    case 0:
    case 1:
      return `GET ${base}/${at}/summary`;
    case 2:
      return `GET ${base}/${at}`;
    case 3:
      return `GET ${base}/:id/items-${at}`;
    case 4:
      return `GET ${base}/:id/items/:item/part-${at}`;
    default:
      return `GET ${base}/files-${at}/*`;
  }
}

/** A path that the route serves. */
function pathOf(spec: string, round: number): string {
  return spec
    .slice(4)
    .replace(/:\w+/g, () => `${(round * 7_919) % 100_000}`)
    .replace(/\*$/, `2026/report-${round % 97}.pdf`);
}

interface Sample {
  readonly bytes: Buffer;
  readonly starts: Int32Array;
}

function pack(paths: readonly string[]): Sample {
  const starts = new Int32Array(paths.length + 1);
  let at = 0;
  paths.forEach((path, index) => {
    starts[index] = at;
    at += path.length;
  });
  starts[paths.length] = at;
  return { bytes: Buffer.from(paths.join(''), 'latin1'), starts };
}

function samplesOf(specs: readonly string[], wanted: (at: number) => boolean): Sample {
  const eligible = specs.filter((_, at) => wanted(at % 6));
  return pack(
    Array.from({ length: SAMPLES }, (_, round) => pathOf(eligible[(round * 7_919) % eligible.length]!, round)),
  );
}

function rowsOf(name: string, make: (size: number) => (rounds: number) => number): Row[] {
  const rows: Row[] = [];
  for (const size of SIZES) {
    const rounds = make(size);
    const row = measure(`${name}, ${size.toLocaleString('en')} routes`, rounds);
    // Of the best batches: a busy machine slows some sizes and not others.
    const ratio = rows[0] === undefined ? '' : `x${(row.quiet! / rows[0].quiet!).toFixed(2)} of 10 routes`;
    rows.push({ ...row, note: ratio });
  }
  return rows;
}

/** `hit`: whether each match must find a route; a benchmark of the wrong thing stops here. */
function matching(specs: readonly string[], sample: Sample, hit: boolean, hosts?: readonly string[], reads = false) {
  const routes = specs.map((spec, at) => route(spec, hosts === undefined ? {} : { hosts: [hosts[at]!] }));
  const router = buildRouter(routes);
  const asked = new Asked();
  const out = new RouteMatchResult();
  const { bytes, starts } = sample;
  return (rounds: number): number => {
    let found = 0;
    for (let round = 0; round < rounds; round++) {
      const at = round & (SAMPLES - 1);
      asked.path = bytes.latin1Slice(starts[at]!, starts[at + 1]!);
      if (hosts !== undefined) asked.host = hosts[(at * 7_919) % hosts.length]!;
      router.match(asked, out);
      found += out.index >= 0 && (!reads || out.params !== null) ? 1 : 0;
    }
    if (found !== (hit ? rounds : 0)) throw new Error(`${found} of ${rounds} matched`);
    return found;
  };
}

function cutting(sample: Sample) {
  const { bytes, starts } = sample;
  return (rounds: number): number => {
    let length = 0;
    for (let round = 0; round < rounds; round++) {
      const at = round & (SAMPLES - 1);
      length += bytes.latin1Slice(starts[at]!, starts[at + 1]!).length;
    }
    return length;
  };
}

function readingTargets(sample: Sample) {
  const { bytes, starts } = sample;
  const target = new Target();
  return (rounds: number): number => {
    let length = 0;
    for (let round = 0; round < rounds; round++) {
      const at = round & (SAMPLES - 1);
      readTarget(bytes.latin1Slice(starts[at]!, starts[at + 1]!), 'GET', target);
      length += target.path.length;
    }
    return length;
  };
}

export function run(): Row[] {
  const specs = (size: number) => Array.from({ length: size }, (_, at) => specOf(at));
  const hits = (size: number, wanted: (kind: number) => boolean, reads = false) =>
    matching(specs(size), samplesOf(specs(size), wanted), true, undefined, reads);
  const any = samplesOf(specs(10_000), () => true);
  const hasParams = (kind: number) => kind === 3 || kind === 4;
  return [
    measure('cut the path (part of every row below)', cutting(any)),
    measure('cut and read the request target', readingTargets(any)),
    ...rowsOf('literal', (size) => hits(size, (kind) => kind < 3)),
    ...rowsOf('parameters', (size) => hits(size, hasParams)),
    ...rowsOf('parameters, and reading them', (size) => hits(size, hasParams, true)),
    ...rowsOf('rest', (size) => hits(size, (kind) => kind === 5)),
    ...rowsOf('mixed', (size) => hits(size, () => true)),
    ...rowsOf('miss (404)', (size) => matching(specs(size), missesOf(size), false)),
    ...rowsOf('a host for each route', tenants),
    building(specs(10_000)),
  ];
}

/** Paths that fail only at their very end. */
function missesOf(size: number): Sample {
  const paths = Array.from({ length: SAMPLES }, (_, round) => `${pathOf(specOf(round % size), round)}/none`);
  return pack(paths.map((path) => path.replace('/files-', '/file-')));
}

function tenants(size: number) {
  const hosts = Array.from({ length: size }, (_, at) => `tenant-${at}.example.com`);
  const paths = pack(Array.from({ length: SAMPLES }, (_, round) => `/orders/${round}`));
  const specs = Array.from({ length: size }, () => 'GET /orders/:id');
  return matching(specs, paths, true, hosts);
}

function building(specs: readonly string[]): Row {
  const routes = specs.map((spec) => route(spec));
  const before = heapKilobytes();
  const router = buildRouter(routes);
  const kilobytes = heapKilobytes() - before;
  const times = Array.from({ length: 5 }, () => {
    const start = performance.now();
    buildRouter(routes);
    return performance.now() - start;
  });
  router.match(request('GET /'), new RouteMatchResult());
  return {
    name: 'build, 10,000 routes',
    value: Math.max(...times),
    quiet: Math.min(...times),
    unit: 'ms',
    note: `keeps ${kilobytes} KB beside the routes`,
  };
}

/** After a full collection, typed arrays included. */
function heapKilobytes(): number {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return Math.round((heapUsed + arrayBuffers) / 1_024);
}
