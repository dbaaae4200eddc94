import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { decodeBlock, Fields, HpackDecoder } from './hpack.suite.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');

const REQUESTS = [
  [
    [':method', 'GET'],
    [':scheme', 'http'],
    [':path', '/'],
    [':authority', 'www.example.com'],
  ],
  [
    [':method', 'GET'],
    [':scheme', 'http'],
    [':path', '/'],
    [':authority', 'www.example.com'],
    ['cache-control', 'no-cache'],
  ],
  [
    [':method', 'GET'],
    [':scheme', 'https'],
    [':path', '/index.html'],
    [':authority', 'www.example.com'],
    ['custom-key', 'custom-value'],
  ],
];

describe('the examples of RFC 7541 Appendix C', () => {
  test('C.2: each kind of representation', () => {
    const one = (bytes: string) => decodeBlock(new HpackDecoder(), hex(bytes));
    assert.deepEqual(one('400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572'), [
      ['custom-key', 'custom-header'],
    ]);
    assert.deepEqual(one('040c 2f73 616d 706c 652f 7061 7468'), [[':path', '/sample/path']]);
    assert.deepEqual(one('1008 7061 7373 776f 7264 0673 6563 7265 74'), [['password', 'secret']]);
    assert.deepEqual(one('82'), [[':method', 'GET']]);
  });

  test('C.3: requests without the Huffman code, one after the other', () => {
    const decoder = new HpackDecoder();
    assert.deepEqual(decodeBlock(decoder, hex('8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d')), REQUESTS[0]);
    assert.deepEqual(decodeBlock(decoder, hex('8286 84be 5808 6e6f 2d63 6163 6865')), REQUESTS[1]);
    assert.deepEqual(
      decodeBlock(decoder, hex('8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65')),
      REQUESTS[2],
    );
  });

  test('C.4: the same with it', () => {
    const decoder = new HpackDecoder();
    assert.deepEqual(decodeBlock(decoder, hex('8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff')), REQUESTS[0]);
    assert.deepEqual(decodeBlock(decoder, hex('8286 84be 5886 a8eb 1064 9cbf')), REQUESTS[1]);
    assert.deepEqual(
      decodeBlock(decoder, hex('8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf')),
      REQUESTS[2],
    );
  });

  test('C.5: responses without the Huffman code, with a table of 256 bytes', () => {
    const decoder = new HpackDecoder(256);
    const date = '4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32';
    const common = [
      ['cache-control', 'private'],
      ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'],
      ['location', 'https://www.example.com'],
    ];
    const first = `4803 3330 3258 0770 7269 7661 7465 611d ${date} 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d`;
    assert.deepEqual(decodeBlock(decoder, hex(first)), [[':status', '302'], ...common]);
    assert.deepEqual(decodeBlock(decoder, hex('4803 3330 37c1 c0bf')), [[':status', '307'], ...common]);
    assert.deepEqual(
      decodeBlock(
        decoder,
        hex(`88c1 611d ${date} 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157
             454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31`),
      ),
      [
        [':status', '200'],
        ['cache-control', 'private'],
        ['date', 'Mon, 21 Oct 2013 20:13:22 GMT'],
        ['location', 'https://www.example.com'],
        ['content-encoding', 'gzip'],
        ['set-cookie', 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1'],
      ],
    );
  });

  test('C.6: responses that push each other out of a table of 256 bytes', () => {
    const decoder = new HpackDecoder(256);
    const common = [
      ['cache-control', 'private'],
      ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'],
      ['location', 'https://www.example.com'],
    ];
    assert.deepEqual(
      decodeBlock(
        decoder,
        hex(`4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e
             919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3`),
      ),
      [[':status', '302'], ...common],
    );
    assert.deepEqual(decodeBlock(decoder, hex('4883 640e ffc1 c0bf')), [[':status', '307'], ...common]);
    assert.deepEqual(
      decodeBlock(
        decoder,
        hex(`88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7
             821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07`),
      ),
      [
        [':status', '200'],
        ['cache-control', 'private'],
        ['date', 'Mon, 21 Oct 2013 20:13:22 GMT'],
        ['location', 'https://www.example.com'],
        ['content-encoding', 'gzip'],
        ['set-cookie', 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1'],
      ],
    );
  });
});

describe('what is refused as a compression error', () => {
  const cases: { name: string; bytes: string; problem: RegExp }[] = [
    { name: 'RFC 7541 §6.1: the index 0', bytes: '80', problem: /index 0/ },
    { name: '§2.3.3: an index behind the tables', bytes: 'be', problem: /behind the end/ },
    { name: '§2.3.3: a name behind the tables', bytes: '7e 01 61', problem: /behind the end/ },
    { name: '§5.1: an integer without end', bytes: 'ff ffffffffffffff', problem: /index 0, or none/ },
    { name: '§5.1: an integer that is cut off', bytes: 'ff', problem: /index 0, or none/ },
    { name: '§5.2: a string longer than the block', bytes: '40 05 61', problem: /not whole/ },
    { name: '§5.2: no string at all', bytes: '40', problem: /not whole/ },
    { name: '§5.2: a length that is too large', bytes: '40 7fffffffffff', problem: /not whole/ },
    { name: '§5.2: a wrong Huffman code', bytes: '40 81 00', problem: /Huffman/ },
    { name: '§4.2: a size above what was announced', bytes: '3fe2 1f', problem: /announced/ },
    { name: '§4.2: a size update behind a field', bytes: '82 20', problem: /behind a field/ },
  ];
  for (const { name, bytes, problem } of cases) {
    test(name, () => assert.match(String(decodeBlock(new HpackDecoder(), hex(bytes))), problem));
  }
});

test('§4.2: size updates at the beginning are followed, several of them too', () => {
  const decoder = new HpackDecoder();
  assert.deepEqual(decodeBlock(decoder, hex('4001 6101 62')), [['a', 'b']]);
  assert.deepEqual(decodeBlock(decoder, hex('be')), [['a', 'b']]);
  assert.deepEqual(decodeBlock(decoder, hex('20 3fe1 1f 82')), [[':method', 'GET']]);
  assert.equal(decodeBlock(decoder, hex('be')), 'an index behind the end of the table');
});

test('§4.4: an entry larger than the table empties it and is no error', () => {
  const decoder = new HpackDecoder(64);
  assert.deepEqual(decodeBlock(decoder, hex('4001 6101 62')), [['a', 'b']]);
  const long = Buffer.concat([hex('4001 6140'), Buffer.alloc(64, 0x63)]);
  assert.deepEqual(decodeBlock(decoder, long), [['a', 'c'.repeat(64)]]);
  assert.equal(decodeBlock(decoder, hex('be')), 'an index behind the end of the table');
});

test('§4.4: a name may be that of the entry which the new one pushes out', () => {
  const decoder = new HpackDecoder(40);
  assert.deepEqual(decodeBlock(decoder, hex('4003 6162 6301 62')), [['abc', 'b']]);
  assert.deepEqual(decodeBlock(decoder, hex('7e 02 6364')), [['abc', 'cd']]);
  assert.deepEqual(decodeBlock(decoder, hex('be')), [['abc', 'cd']]);
});

test('RFC 9113 §8.2.1: names and values that no message may have are told as such, from the table too', () => {
  const bad = (name: string, value: string): number => {
    const decoder = new HpackDecoder();
    const fields = new Fields();
    const block = Buffer.concat([
      Buffer.of(0x40, name.length),
      Buffer.from(name, 'latin1'),
      Buffer.of(value.length),
      Buffer.from(value, 'latin1'),
      Buffer.of(0xbe),
    ]);
    assert.ok(decoder.decode(block, 0, block.length, fields));
    return fields.invalid;
  };
  for (const name of ['', 'A', 'x-Upper', 'a b', 'a:b', 'a\r', 'a\n', 'a\0', 'caf\xe9', '\x7f', ' a'])
    assert.equal(bad(name, 'v'), 2, JSON.stringify(name));
  for (const value of ['a\r\nb', 'a\nb', '\r', 'a\0', '\x7f', ' a', 'a ', '\ta', 'a\t'])
    assert.equal(bad('x', value), 2, JSON.stringify(value));
  for (const value of ['', 'a b', 'a\tb', 'caf\xe9', '"x"', 'a,b;c=d']) assert.equal(bad('x', value), 0, value);
});

test('a table that is filled over and over keeps its memory and its entries', () => {
  const decoder = new HpackDecoder();
  for (let i = 0; i < 5_000; i++) {
    const value = `${i}-`.padEnd(i % 97, 'v');
    const block = Buffer.concat([Buffer.of(0x40, 1, 0x61, value.length), Buffer.from(value), Buffer.of(0xbe)]);
    assert.deepEqual(decodeBlock(decoder, block), [
      ['a', value],
      ['a', value],
    ]);
  }
});
