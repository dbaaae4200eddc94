/**
 * Writes a small database file in MaxMind's format (MaxMind DB File Format Specification 2.0) for tests: IPv4 networks,
 * records of 24 bits, texts and mappings only. Enough for a reader to be tested against bytes that nobody else made.
 */

type Value = string | number | { readonly [key: string]: Value } | readonly Value[];

/** Type in the first three bits, size in the rest; sizes from 29 take one more byte. */
function control(type: number, size: number): Buffer {
  const head = type < 8 ? [type << 5] : [0, type - 7];
  if (size < 29) head[0] = head[0]! | size;
  else head[0] = head[0]! | 29;
  return Buffer.from(size < 29 ? head : [...head, size - 29]);
}

function encode(value: Value): Buffer {
  if (typeof value === 'string') {
    const bytes = Buffer.from(value);
    return Buffer.concat([control(2, bytes.length), bytes]);
  }
  if (typeof value === 'number') {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return Buffer.concat([control(6, 4), bytes]);
  }
  if (Array.isArray(value)) return Buffer.concat([control(11, value.length), ...value.map(encode)]);
  const entries = Object.entries(value as Record<string, Value>);
  return Buffer.concat([
    control(7, entries.length),
    ...entries.flatMap(([key, inner]) => [encode(key), encode(inner)]),
  ]);
}

interface Node {
  readonly next: [Node | number | undefined, Node | number | undefined];
}

/** `networks` maps `192.0.2.0/24` to what is known of it. */
export function placeDatabase(networks: Readonly<Record<string, Value>>): Buffer {
  const root: Node = { next: [undefined, undefined] };
  const nodes: Node[] = [root];
  const data: Buffer[] = [];
  let offset = 0;
  for (const [network, value] of Object.entries(networks)) {
    const [address = '', length = ''] = network.split('/');
    const bits = address
      .split('.')
      .map((part) => Number(part).toString(2).padStart(8, '0'))
      .join('')
      .slice(0, Number(length));
    let at = root;
    for (const bit of bits.slice(0, -1)) {
      const side = Number(bit) as 0 | 1;
      const next = at.next[side];
      if (typeof next === 'object') at = next;
      else {
        const made: Node = { next: [undefined, undefined] };
        nodes.push(made);
        at.next[side] = made;
        at = made;
      }
    }
    at.next[Number(bits.at(-1)) as 0 | 1] = offset;
    const bytes = encode(value);
    data.push(bytes);
    offset += bytes.length;
  }
  const tree = Buffer.alloc(nodes.length * 6);
  for (const [index, node] of nodes.entries()) {
    for (const side of [0, 1] as const) {
      const next = node.next[side];
      // Beyond the nodes: the count itself is "nothing", and data begins 16 bytes further.
      const record =
        next === undefined ? nodes.length : typeof next === 'number' ? nodes.length + 16 + next : nodes.indexOf(next);
      tree.writeUIntBE(record, index * 6 + side * 3, 3);
    }
  }
  const about = encode({
    binary_format_major_version: 2,
    binary_format_minor_version: 0,
    build_epoch: 0,
    database_type: 'Test-City',
    description: { en: 'test' },
    ip_version: 4,
    languages: ['en'],
    node_count: nodes.length,
    record_size: 24,
  });
  return Buffer.concat([tree, Buffer.alloc(16), ...data, Buffer.from('\xab\xcd\xefMaxMind.com', 'latin1'), about]);
}
