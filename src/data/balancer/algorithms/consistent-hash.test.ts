import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { FakeRequest } from '../fixtures.suite.ts';
import { assertShare, candidates, request, seeded } from '../fixtures.suite.ts';
import { algorithmSuite, callers, closedLoop } from './algorithms.suite.ts';
import type { ConsistentHashOptions } from './consistent-hash.ts';
import { consistentHash } from './consistent-hash.ts';

const BY_HEADER: ConsistentHashOptions = { by: 'header', name: 'x-key', loadFactor: 0 };

algorithmSuite(consistentHash, { options: BY_HEADER });
algorithmSuite(consistentHash, { options: { by: 'query', name: 'key', loadFactor: 1.25 } });

describe('the key', () => {
  const kinds: { options: ConsistentHashOptions; same: FakeRequest; other: FakeRequest }[] = [
    { options: BY_HEADER, same: { headers: { 'x-key': 'a' } }, other: { headers: { 'x-key': 'b' } } },
    {
      options: { by: 'cookie', name: 'key', loadFactor: 0 },
      same: { cookies: { key: 'a' } },
      other: { cookies: { key: 'b' } },
    },
    { options: { by: 'query', name: 'key', loadFactor: 0 }, same: { query: 'x=1&key=a&y' }, other: { query: 'key=b' } },
    { options: { by: 'path', name: '', loadFactor: 0 }, same: { path: '/a' }, other: { path: '/b' } },
    { options: { by: 'user', name: '', loadFactor: 0 }, same: { subject: 'a' }, other: { subject: 'b' } },
  ];
  const list = candidates(...Array.from({ length: 64 }, () => 1));

  for (const { options, same, other } of kinds) {
    it(`by ${options.by} decides alone`, () => {
      const balancer = consistentHash.create(options, seeded(1));
      const first = balancer.pick(list, request({ ...same, address: '192.0.2.1' }));
      assert.equal(balancer.pick(list, request({ ...same, address: '192.0.2.99' })), first);
      assert.notEqual(balancer.pick(list, request({ ...other, address: '192.0.2.1' })), first);
    });
  }

  it('is the address when the request has none', () => {
    const balancer = consistentHash.create(BY_HEADER, seeded(1));
    const picks = new Set(callers(200).map(({ address }) => balancer.pick(list, request({ address }))));
    assert.ok(picks.size > 50, `200 addresses went to ${picks.size} of 64 instances`);
  });

  it('by query is the whole name, not the end of another', () => {
    const balancer = consistentHash.create({ by: 'query', name: 'id', loadFactor: 0 }, seeded(1));
    const at = (query: string): number => balancer.pick(list, request({ query }));
    assert.equal(at('uid=7&id=3'), at('id=3'));
    assert.equal(at('idx=7&id=3'), at('id=3'));
    assert.equal(at('id=3&id=4'), at('id=3'), 'the first one counts');
  });
});

it('moves about one key in n when an instance joins, and none between the others', () => {
  const balancer = consistentHash.create(BY_HEADER, seeded(1));
  const after = candidates(1, 1, 1, 1, 1);
  const before = after.slice(0, 4);
  const keys = callers(5_000);
  let moved = 0;
  for (const by of keys) {
    const was = before[balancer.pick(before, by)]!;
    const is = after[balancer.pick(after, by)]!;
    if (is === was) continue;
    assert.equal(is, after[4], 'a key moved between instances that stayed');
    moved++;
  }
  assertShare(moved, keys.length, 1 / 5, 'moved keys');
});

it('moves keys to an instance only as its weight grows', () => {
  const balancer = consistentHash.create(BY_HEADER, seeded(1));
  const keys = callers(2_000);
  let had = new Set<number>();
  for (const weight of [0.05, 0.25, 0.5, 1]) {
    const list = candidates(1, 1, weight);
    const has = new Set(keys.keys().filter((i) => balancer.pick(list, keys[i]!) === 2));
    assert.ok(had.isSubsetOf(has), `at weight ${weight} it lost a key that it had`);
    assertShare(has.size, keys.length, weight / (2 + weight), `keys at weight ${weight}`);
    had = has;
  }
});

describe('bounded load', () => {
  it('keeps the instance of one hot key within its factor of the fair share', () => {
    const balancer = consistentHash.create({ ...BY_HEADER, loadFactor: 1.25 }, seeded(1));
    const list = candidates(1, 1, 1, 1);
    const hot = request({ headers: { 'x-key': 'hot' } });
    for (let i = 0; i < 400; i++) {
      list[balancer.pick(list, hot)]!.inFlight++;
      const most = Math.max(...list.map((candidate) => candidate.inFlight));
      assert.ok(most <= Math.ceil((1.25 * (i + 1)) / 4), `${most} of ${i + 1} in flight`);
    }
  });

  it('bounds by weight', () => {
    const balancer = consistentHash.create({ ...BY_HEADER, loadFactor: 1.5 }, seeded(1));
    const list = candidates(1, 3);
    closedLoop(balancer, list, 2_000);
    for (const candidate of list) assert.ok(candidate.inFlight <= Math.ceil((1.5 * 20 * candidate.weight) / 4));
  });

  it('keeps the key at its instance when that has room', () => {
    const bounded = consistentHash.create({ ...BY_HEADER, loadFactor: 1.25 }, seeded(1));
    const free = consistentHash.create(BY_HEADER, seeded(1));
    const list = candidates(1, 1, 1, 1);
    for (const by of callers(200)) assert.equal(bounded.pick(list, by), free.pick(list, by));
  });
});
