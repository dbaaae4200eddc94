/**
 * Holds many idle keep-alive connections, a process of its own that is driven over IPC: `open` (how many, to which
 * port), `request` (one request on each, every answer checked), `count` (how many are still open).
 */
import { connect, type Socket } from 'node:net';
import { Http2Reader, opening } from './lib/http2.ts';
import { MessageReader } from './lib/wire.ts';

export type IdleCommand =
  | { readonly open: number; readonly port: number; readonly protocol: 'h1' | 'h2' }
  | { readonly request: string; readonly expectBytes: number }
  | { readonly count: true };

export interface IdleReply {
  /** Connections open now. */
  readonly open: number;
  /** Good answers to the last `request`. */
  readonly answered: number;
}

interface Held {
  readonly socket: Socket;
  onResponse: ((good: boolean) => void) | undefined;
  expectBytes: number;
}

const held = new Set<Held>();
/** Connections being opened, and requests in flight, at once: enough to be quick, too few to overflow a backlog. */
const parallel = 200;

process.on('message', (command: IdleCommand) => {
  void run(command).then((answered) => process.send?.({ open: held.size, answered } satisfies IdleReply));
});
process.on('disconnect', () => process.exit(0));

async function run(command: IdleCommand): Promise<number> {
  if ('open' in command) {
    await inParallel(Array.from({ length: command.open }, () => () => open(command.port, command.protocol)));
    return 0;
  }
  if ('count' in command) return 0;
  let answered = 0;
  const jobs = [...held].map((one) => async () => {
    if (await request(one, command.request, command.expectBytes)) answered++;
  });
  await inParallel(jobs);
  return answered;
}

async function inParallel(jobs: (() => Promise<void>)[]): Promise<void> {
  const worker = async () => {
    for (let job = jobs.pop(); job !== undefined; job = jobs.pop()) await job();
  };
  await Promise.all(Array.from({ length: parallel }, worker));
}

function http1Reader(one: Held): MessageReader {
  let good = false;
  let bytes = 0;
  return new MessageReader({
    head: (head) => {
      good = head.startsWith('200', 9);
      bytes = 0;
    },
    body: (chunk) => {
      bytes += chunk.length;
    },
    end: () => one.onResponse?.(good && bytes === one.expectBytes),
  });
}

function http2Reader(one: Held): Http2Reader {
  return new Http2Reader({
    end: (good, bytes) => one.onResponse?.(good && bytes === one.expectBytes),
    send: (bytes) => one.socket.write(bytes),
  });
}

/** A connection that is refused is simply not held; the count tells. */
function open(port: number, protocol: 'h1' | 'h2'): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    const one: Held = { socket, onResponse: undefined, expectBytes: 0 };
    const reader = protocol === 'h2' ? http2Reader(one) : http1Reader(one);
    socket.on('data', (bytes: Buffer) => reader.feed(bytes));
    socket.once('connect', () => {
      if (protocol === 'h2') socket.write(opening);
      held.add(one);
      resolve();
    });
    socket.once('error', () => socket.destroy());
    socket.once('close', () => {
      held.delete(one);
      one.onResponse?.(false);
      resolve();
    });
  });
}

function request(one: Held, text: string, expectBytes: number): Promise<boolean> {
  if (one.socket.destroyed) return Promise.resolve(false);
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), 10_000);
    one.expectBytes = expectBytes;
    one.onResponse = (good) => {
      clearTimeout(timer);
      one.onResponse = undefined;
      resolve(good);
    };
    one.socket.write(text, 'latin1');
  });
}
