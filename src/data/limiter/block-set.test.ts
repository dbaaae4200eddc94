import assert from 'node:assert/strict';
import { BlockList } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { BlockSet, blockProblem } from './block-set.ts';

test('blocks, single addresses, both families', () => {
  const set = new BlockSet(['10.0.0.0/8', '192.0.2.7', '2001:db8::/32', '::1']);
  for (const inside of ['10.0.0.0', '10.255.255.255', '192.0.2.7', '2001:db8::', '2001:db8:ffff::1', '::1'])
    assert.ok(set.has(inside), inside);
  for (const outside of [
    '9.255.255.255',
    '11.0.0.0',
    '192.0.2.6',
    '192.0.2.8',
    '2001:db7:ffff::',
    '2001:db9::',
    '::2',
    'nonsense',
    '',
  ])
    assert.ok(!set.has(outside), outside);
});

test('bits below the prefix are ignored, neighbours and overlaps become one range', () => {
  assert.ok(new BlockSet(['10.1.2.3/8']).has('10.9.9.9'));
  assert.equal(new BlockSet(['10.0.0.0/9', '10.128.0.0/9', '10.1.0.0/16', '11.0.0.0/8']).size, 1);
  assert.equal(new BlockSet(['0.0.0.0/0', '255.255.255.255']).size, 1);
  assert.equal(new BlockSet(['::/0', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff']).size, 1);
  assert.equal(new BlockSet([]).size, 0);
});

test('what is no block is named', () => {
  for (const block of ['10.0.0.0/33', '10.0.0', 'a/8', '::/129', '10.0.0.0/', '10.0.0.0/8x'])
    assert.match(blockProblem(block) ?? '', /is not an address/, block);
  assert.equal(blockProblem('10.0.0.0/8'), undefined);
});

test('it agrees with Node’s block list', () => {
  const v4 = fc.record({ address: fc.ipV4(), bits: fc.integer({ min: 0, max: 32 }) });
  const v6 = fc.record({ address: fc.ipV6(), bits: fc.integer({ min: 0, max: 128 }) });
  fc.assert(
    fc.property(
      fc.array(v4, { maxLength: 20 }),
      fc.array(v6, { maxLength: 20 }),
      fc.array(fc.ipV4()),
      fc.array(fc.ipV6()),
      (fours, sixes, addresses4, addresses6) => {
        const list = new BlockList();
        for (const { address, bits } of fours) list.addSubnet(address, bits, 'ipv4');
        for (const { address, bits } of sixes) list.addSubnet(address, bits, 'ipv6');
        const set = new BlockSet([...fours, ...sixes].map(({ address, bits }) => `${address}/${bits}`));
        for (const address of [...addresses4, ...fours.map((four) => four.address)]) {
          // Node takes an IPv4 address for a mapped IPv6 one; here ::/0 says nothing about IPv4.
          if (sixes.some(({ bits }) => bits < 97)) continue;
          assert.equal(set.has(address), list.check(address, 'ipv4'), address);
        }
        for (const address of [...addresses6, ...sixes.map((six) => six.address)]) {
          if (fours.length > 0) continue;
          assert.equal(set.has(address), list.check(address, 'ipv6'), address);
        }
      },
    ),
    { numRuns: 400 },
  );
});

test('100,000 blocks are ready soon and answer in well under a microsecond', () => {
  let random = 7;
  const number = (): number => {
    random = (Math.imul(random, 1_664_525) + 1_013_904_223) | 0;
    return random >>> 0;
  };
  const address = (value: number): string => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');
  const blocks = Array.from({ length: 100_000 }, () => `${address(number())}/${24 + (number() % 9)}`);
  const before = process.threadCpuUsage();
  const set = new BlockSet(blocks);
  const built = process.threadCpuUsage(before).user / 1_000;
  assert.ok(set.size > 90_000 && built < 5_000, `${set.size} ranges in ${built} ms of CPU`);
  const asked = Array.from({ length: 1_000 }, (_, i) =>
    i % 2 === 0 ? address(number()) : (blocks[i]?.split('/')[0] ?? ''),
  );
  const rounds = 200;
  const cpu = process.threadCpuUsage();
  let found = 0;
  for (let i = 0; i < rounds; i++) for (const one of asked) if (set.has(one)) found++;
  const used = process.threadCpuUsage(cpu);
  const each = (used.user * 1_000) / (rounds * asked.length);
  assert.ok(each < 2_000, `${each} ns each`);
  assert.ok(found >= rounds * 500, 'addresses of the blocks are found');
});
