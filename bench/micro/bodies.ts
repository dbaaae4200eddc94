/**
 * What policies of users, transforms, validation and compression cost per request: a guarded hook that does nothing or
 * sets a field, a 600-byte JSON body read, checked and changed, and the same packed at once.
 */
import { systemClock } from '../../src/base/clock.ts';
import { createLogger } from '../../src/base/log.ts';
import { packNow } from '../../src/data/content/codings.ts';
import { readExactJson } from '../../src/data/content/exact-json.ts';
import { compileSchema } from '../../src/data/content/json-schema.ts';
import { readJson } from '../../src/data/content/read-json.ts';
import { compileReshape, compileVeil, loadSearch } from '../../src/data/content/reshape.ts';
import { PolicyWatch } from '../../src/data/contract/policy-watch.ts';
import { RecordingExchange } from '../../src/data/policies/testing.ts';
import { HookGuard } from '../../src/data/user-policies/hook-guard.ts';
import { measure } from './measure.ts';
import type { Row } from './row.ts';

const ITEMS = Array.from({ length: 8 }, (_, id) => ({
  id,
  sku: `sku-${id}-a`,
  price: id * 9.5,
  cost: id * 3,
  tags: ['x', 'y'],
}));
const BODY = Buffer.from(
  JSON.stringify({ id: 'order-1', customer: { name: 'Ann', mail: 'a@b.example' }, items: ITEMS }),
);
const NO_RESHAPE = { select: null, pick: null, omit: [], rename: [], set: [], envelope: null };

class OneField extends RecordingExchange {
  override header(): string {
    return 'acme';
  }
  override setUpstreamHeader(): void {}
}

export async function run(): Promise<Row[]> {
  const guard = new HookGuard({
    name: 'bench',
    slot: 0,
    watch: new PolicyWatch(),
    log: createLogger('silent'),
    timeoutMs: 1_000,
    onBroken: 'fail',
    nowMs: () => systemClock.monotonicMs(),
    putBack: () => '',
  });
  const exchange = new OneField();
  const hooks = {};
  const empty = guard.request(() => undefined, hooks, 'requestHead');
  const header = guard.request(
    (request) => {
      request.setUpstreamHeader('X-Tenant', request.header('x-org') ?? '');
    },
    hooks,
    'requestHead',
  );
  const check = await compileSchema({
    type: 'object',
    required: ['id', 'items'],
    properties: {
      id: { type: 'string' },
      items: {
        type: 'array',
        items: {
          type: 'object',
          required: ['id', 'price'],
          properties: { id: { type: 'integer' }, price: { type: 'number' } },
        },
      },
    },
  });
  const parsed: unknown = JSON.parse(BODY.toString());
  const search = await loadSearch();
  const values = { params: {}, query: {}, auth: null, request: {}, header: () => null };
  const pick = compileReshape({ ...NO_RESHAPE, pick: [['id'], ['items', '*', 'id'], ['items', '*', 'price']] }, null);
  const select = compileReshape({ ...NO_RESHAPE, select: 'items[?price > `10`].{id: id}' }, search);
  const veil = compileVeil({ hide: [{ fields: [['items', '*', 'cost']], except: [] }], show: null });
  const repeat =
    (work: () => unknown) =>
    (rounds: number): number => {
      let sum = 0;
      for (let i = 0; i < rounds; i++) sum += work() === null ? 1 : 2;
      return sum;
    };
  const size = `${BODY.length} B`;
  const changed = (change: (value: unknown) => unknown) => () => {
    const read = readExactJson(BODY, 64);
    return Buffer.from(JSON.stringify(change(read.ok ? read.value : null)));
  };
  return [
    measure(
      'a user policy that does nothing',
      repeat(() => empty(exchange)),
      { atMost: 100 },
    ),
    measure(
      'a user policy that reads and sets a field',
      repeat(() => header(exchange)),
      { atMost: 300 },
    ),
    measure(
      `JSON.parse of ${size}`,
      repeat(() => JSON.parse(BODY.toString())),
    ),
    measure(
      `the one reading of ${size}`,
      repeat(() => readJson(BODY)),
    ),
    measure(
      `a schema on ${size}, beyond parsing`,
      repeat(() => check(parsed)),
      { atMost: 4_000 },
    ),
    measure(`${size} read and written, nothing changed`, repeat(changed((value) => value))),
    measure(`${size} picked`, repeat(changed((value) => pick(value, values)))),
    measure(`${size} with fields hidden`, repeat(changed((value) => veil(value, [])))),
    measure(`${size} selected by JMESPath`, repeat(changed((value) => select(value, values)))),
    ...(['zstd', 'br', 'gzip'] as const).map((coding) =>
      measure(
        `${size} packed at once, ${coding}`,
        repeat(() => packNow(coding, { zstd: 3, br: 4, gzip: 6 }[coding], BODY)),
      ),
    ),
  ];
}
