/**
 * The hostile callers of the soak: every request comes from another address, user or key than any before, or scans,
 * guesses and sends nonsense; and beside them a few known callers who have used up their limit and ask on. Paced, over
 * kept connections, each with one request in flight. Called by bench/soak.ts.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { field, MessageReader } from './wire.ts';

export interface HostileOptions {
  readonly port: number;
  readonly perSecond: number;
  readonly connections: number;
  /** HS256 secret of the gateway. */
  readonly secret: string;
  /** Known callers. */
  readonly known: number;
}

export interface HostileCounts {
  sent: number;
  answered: number;
  /** Connections that ended and were opened anew; nonsense is answered and closed. */
  reopened: number;
  readonly byStatus: Map<string, number>;
  /** Requests of each known caller that were let through. */
  readonly admitted: number[];
  readonly asked: number[];
}

type Kind = 'address' | 'user' | 'key' | 'guess' | 'scan' | 'nonsense' | 'repeat' | 'known';

/** Of 64 requests. */
const MIX: readonly [Kind, number][] = [
  ['address', 24],
  ['user', 8],
  ['key', 6],
  ['guess', 4],
  ['scan', 4],
  ['nonsense', 2],
  ['repeat', 12],
  ['known', 4],
];
const ROUND: readonly Kind[] = MIX.flatMap(([kind, count]) => Array<Kind>(count).fill(kind));
/** Abusers that come again and again, so that bans are made and end. */
const REPEATERS = 256;

export class Hostile {
  readonly counts: HostileCounts;
  readonly #options: HostileOptions;
  readonly #idle: Connection[] = [];
  #timer: NodeJS.Timeout | undefined;
  #next = 0;
  #nextKnown = 0;
  #due = 0;
  #lastMs = 0;
  #isOver = false;

  constructor(options: HostileOptions) {
    this.#options = options;
    this.counts = {
      sent: 0,
      answered: 0,
      reopened: 0,
      byStatus: new Map(),
      admitted: Array<number>(options.known).fill(0),
      asked: Array<number>(options.known).fill(0),
    };
  }

  start(): void {
    for (let i = 0; i < this.#options.connections; i++) this.#open();
    this.#lastMs = performance.now();
    this.#timer = setInterval(() => this.#tick(), 5);
  }

  stop(): void {
    this.#isOver = true;
    clearInterval(this.#timer);
    for (const connection of this.#idle) connection.socket.destroy();
  }

  #open(): void {
    if (this.#isOver) return;
    const connection = new Connection(this.#options.port, (one, status, known) => {
      this.counts.answered++;
      const name = `${one.kind} ${status}`;
      this.counts.byStatus.set(name, (this.counts.byStatus.get(name) ?? 0) + 1);
      if (known >= 0 && status === 200) this.counts.admitted[known] = (this.counts.admitted[known] ?? 0) + 1;
      if (!one.isClosing) this.#idle.push(one);
    });
    connection.socket.once('connect', () => this.#idle.push(connection));
    connection.socket.once('close', () => {
      const at = this.#idle.indexOf(connection);
      if (at >= 0) this.#idle.splice(at, 1);
      if (this.#isOver) return;
      this.counts.reopened++;
      setTimeout(() => this.#open(), 5).unref();
    });
  }

  #tick(): void {
    const nowMs = performance.now();
    // What could not be sent for want of a connection is not made up for: the load is bounded.
    this.#due = Math.min(this.#due + ((nowMs - this.#lastMs) * this.#options.perSecond) / 1_000, 200);
    this.#lastMs = nowMs;
    while (this.#due >= 1) {
      const connection = this.#idle.pop();
      if (connection === undefined) return;
      this.#due--;
      this.#send(connection);
    }
  }

  #send(connection: Connection): void {
    const kind = ROUND[this.#next++ % ROUND.length] as Kind;
    this.counts.sent++;
    let known = -1;
    if (kind === 'known') {
      known = this.#nextKnown++ % this.#options.known;
      this.counts.asked[known] = (this.counts.asked[known] ?? 0) + 1;
    }
    connection.send(kind, this.#request(kind, known), known);
  }

  #request(kind: Kind, known: number): string {
    const get = (path: string, address: string, more = ''): string =>
      `GET ${path} HTTP/1.1\r\nHost: soak.example\r\nX-Forwarded-For: ${address}\r\n${more}\r\n`;
    const again = `198.18.0.${Math.floor(Math.random() * REPEATERS)}`;
    switch (kind) {
      case 'address':
        return get('/address', this.#next % 3 === 0 ? randomV6() : randomV4());
      case 'user':
        return get('/user', randomV4(), `Authorization: Bearer ${this.#token()}\r\n`);
      case 'key':
        return get('/key', randomV4(), `X-API-Key: ${randomBytes(24).toString('base64url')}\r\n`);
      case 'guess':
        return get('/key', again, `X-API-Key: ${randomBytes(24).toString('base64url')}\r\n`);
      case 'scan':
        return get(`/.env.${this.#next}`, again);
      case 'nonsense':
        return `GET /\x01 HTTP/9.9\r\nX: ${this.#next}\r\n\r\n`;
      case 'repeat':
        return get('/address', again);
      case 'known':
        return get('/known', `192.0.2.${known + 1}`);
    }
  }

  /** A good token of a user that nobody has heard of. */
  #token(): string {
    const now = Math.floor(Date.now() / 1_000);
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const claims = { sub: randomBytes(16).toString('hex'), iat: now, exp: now + 600, iss: 'soak', aud: 'soak' };
    const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
    return `${signed}.${createHmac('sha256', this.#options.secret).update(signed).digest('base64url')}`;
  }
}

class Connection {
  readonly socket: Socket;
  kind: Kind = 'address';
  isClosing = false;
  #known = -1;
  #status = 0;

  constructor(port: number, answered: (connection: Connection, status: number, known: number) => void) {
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true });
    const reader = new MessageReader({
      head: (head) => {
        this.#status = Number(head.slice(9, 12));
        this.isClosing = field(head, 'connection') === 'close';
      },
      body: () => {},
      end: () => answered(this, this.#status, this.#known),
    });
    this.socket.on('data', (bytes: Buffer) => reader.feed(bytes));
    this.socket.on('error', () => this.socket.destroy());
  }

  send(kind: Kind, text: string, known: number): void {
    this.kind = kind;
    this.#known = known;
    this.socket.write(text, 'latin1');
  }
}

function randomV4(): string {
  const [a = 0, b = 0, c = 0] = randomBytes(3);
  return `10.${a}.${b}.${c}`;
}

function randomV6(): string {
  return `2001:db8:${randomBytes(4)
    .toString('hex')
    .replace(/^(....)(....)$/, '$1:$2')}::1`;
}
