/**
 * A name server over UDP (RFC 1035) for one test: A, AAAA and SRV records as the test sets them, NXDOMAIN for names it
 * does not know, NODATA for types they do not have, and on demand silence, SERVFAIL or nonsense. It counts questions.
 */
import dgram from 'node:dgram';

export type DnsRecord =
  | { readonly type: 'A' | 'AAAA'; readonly address: string; readonly ttl: number }
  | {
      readonly type: 'SRV';
      readonly priority: number;
      readonly weight: number;
      readonly port: number;
      readonly target: string;
      readonly ttl: number;
    };

export type DnsMood = 'answer' | 'silent' | 'servfail' | 'nonsense';

const TYPES: Readonly<Record<number, DnsRecord['type']>> = { 1: 'A', 28: 'AAAA', 33: 'SRV' };
const NUMBERS = { A: 1, AAAA: 28, SRV: 33 } as const;
const SERVFAIL = 2;
const NXDOMAIN = 3;

export class DnsServer {
  /** `127.0.0.1:port`, as the resolver takes it. */
  readonly address: string;
  /** By name in lower case, without a dot at the end. */
  readonly records = new Map<string, DnsRecord[]>();
  mood: DnsMood = 'answer';
  /** Moods of single names; they go before `mood`. */
  readonly moods = new Map<string, DnsMood>();
  /** `A projects.test` and so on, in the order they came. */
  readonly questions: string[] = [];
  readonly #socket: dgram.Socket;

  private constructor(socket: dgram.Socket) {
    this.#socket = socket;
    this.address = `127.0.0.1:${socket.address().port}`;
    socket.on('message', (message, peer) => {
      const answer = this.#answer(message);
      if (answer !== undefined) socket.send(answer, peer.port, peer.address);
    });
  }

  static async start(): Promise<DnsServer> {
    const socket = dgram.createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    return new DnsServer(socket);
  }

  setAddresses(name: string, ttl: number, ...addresses: string[]): void {
    this.records.set(
      name,
      addresses.map((address) => ({ type: address.includes(':') ? 'AAAA' : 'A', address, ttl })),
    );
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#socket.close(() => resolve()));
  }

  #answer(message: Buffer): Buffer | undefined {
    const { name, type, end } = readQuestion(message);
    const mood = this.moods.get(name) ?? this.mood;
    this.questions.push(`${type} ${name}`);
    if (mood === 'silent') return undefined;
    const all = this.records.get(name);
    const found = (all ?? []).filter((record) => record.type === type);
    const code = mood === 'servfail' ? SERVFAIL : all === undefined ? NXDOMAIN : 0;
    const head = Buffer.from(message.subarray(0, end));
    head.writeUInt16BE(0x8400 | (message.readUInt16BE(2) & 0x0100) | 0x0080 | code, 2);
    head.writeUInt16BE(code === 0 ? found.length : 0, 6);
    head.writeUInt32BE(0, 8);
    if (mood === 'nonsense') return Buffer.concat([head.subarray(0, 2), Buffer.from('?'.repeat(20))]);
    return Buffer.concat([head, ...(code === 0 ? found.map(encode) : [])]);
  }
}

function readQuestion(message: Buffer): { name: string; type: string; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = message[at] ?? 0; length !== 0; length = message[at] ?? 0) {
    labels.push(message.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  const type = message.readUInt16BE(at + 1);
  return { name: labels.join('.').toLowerCase(), type: TYPES[type] ?? String(type), end: at + 5 };
}

/** One resource record; its name is a pointer to the question's (RFC 1035 §4.1.4). */
function encode(record: DnsRecord): Buffer {
  const data = dataOf(record);
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc00c, 0);
  head.writeUInt16BE(NUMBERS[record.type], 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt32BE(record.ttl, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function dataOf(record: DnsRecord): Buffer {
  if (record.type !== 'SRV') {
    return record.type === 'A' ? Buffer.from(record.address.split('.').map(Number)) : ipv6(record.address);
  }
  const fixed = Buffer.alloc(6);
  fixed.writeUInt16BE(record.priority, 0);
  fixed.writeUInt16BE(record.weight, 2);
  fixed.writeUInt16BE(record.port, 4);
  return Buffer.concat([fixed, nameOf(record.target)]);
}

function nameOf(name: string): Buffer {
  const labels = name.split('.').filter((label) => label !== '');
  return Buffer.concat([
    ...labels.map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label, 'latin1')])),
    Buffer.from([0]),
  ]);
}

function ipv6(address: string): Buffer {
  const [before = '', after] = address.split('::');
  const groups = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((part) => Number.parseInt(part, 16));
  const head = groups(before);
  const tail = after === undefined ? [] : groups(after);
  const all = [...head, ...new Array<number>(8 - head.length - tail.length).fill(0), ...tail];
  const bytes = Buffer.alloc(16);
  for (const [index, group] of all.entries()) bytes.writeUInt16BE(group, index * 2);
  return bytes;
}
