/**
 * A real upstream `Session` whose socket is a stream in memory: one request is begun, the test's bytes come back, and
 * what the session understood is kept as text.
 */
import { FakeClock } from '../../../src/base/clock.ts';
import type { FaultKind } from '../../../src/base/errors.ts';
import { TimerWheel } from '../../../src/base/timers.ts';
import type { UpstreamHandler } from '../../../src/data/exchange/upstream-stream.ts';
import { Session } from '../../../src/data/http1/session.ts';
import type { MessageFraming } from '../../../src/data/parser/framing.ts';
import type { Head } from '../../../src/data/parser/head.ts';
import { PretendedSocket, turn } from './driven-connection.ts';

export interface UnderstoodAnswer {
  status: number;
  minor: number;
  fields: readonly (readonly [string, string])[];
  body: string;
  trailers: readonly (readonly [string, string])[];
  complete: boolean;
  interim: number;
  upgraded: boolean;
  fault: string | null;
  /** The connection went back to its pool. */
  reusable: boolean;
}

/** Shows the pieces to a session that waits for the answer to `method`. */
export async function understandAnswer(pieces: readonly Buffer[], method: string, ended: boolean) {
  const socket = new PretendedSocket();
  const answer: UnderstoodAnswer = {
    status: 0,
    minor: -1,
    fields: [],
    body: '',
    trailers: [],
    complete: false,
    interim: 0,
    upgraded: false,
    fault: null,
    reusable: false,
  };
  const owner = {
    onIdle: (): void => {
      answer.reusable = true;
    },
    onClosed: (): void => {},
  };
  const session = new Session(socket.asSocket(), owner, new TimerWheel(100, new FakeClock()));
  session.begin(new Noting(answer), method, 'a.test', '', '/', null, '');
  session.endHead(0, false, true);
  session.sendEnd(null);
  for (const piece of pieces) {
    if (!session.isOpen) break;
    // As the socket does: the bytes stand at the start of the buffer that the session asked to read into.
    const buffer = session.nextBuffer();
    piece.copy(buffer);
    session.onRead(piece.length, buffer);
    // Whatever was told must have been taken by now: the memory may hold anything afterwards.
    if (session.nextBuffer() === buffer) buffer.fill(0x58);
  }
  if (ended && session.isOpen) {
    socket.push(null);
    socket.resume();
    await turn();
  }
  answer.reusable &&= session.isOpen;
  session.close('other');
  socket.destroy();
  return answer;
}

class Noting implements UpstreamHandler {
  readonly lenient = undefined;
  readonly #answer: UnderstoodAnswer;

  constructor(answer: UnderstoodAnswer) {
    this.#answer = answer;
  }

  onInterimHead(): void {
    this.#answer.interim++;
  }

  onResponseHead(head: Head, _meaning: MessageFraming): void {
    this.#answer.status = head.status;
    this.#answer.minor = head.minor;
    this.#answer.fields = fieldsOf(head);
  }

  onResponseBody(bytes: Buffer, start: number, end: number): void {
    this.#answer.body += bytes.latin1Slice(start, end);
  }

  onResponseEnd(trailers: Head | null): void {
    this.#answer.complete = true;
    if (trailers !== null) this.#answer.trailers = fieldsOf(trailers);
  }

  onUpgraded(_head: Head, rest: Buffer): void {
    this.#answer.upgraded = true;
    this.onResponseBody(rest, 0, rest.length);
  }

  onReadDone(): null {
    return null;
  }

  onUpstreamDrain(): void {}

  onLenient(): void {}

  onStreamFault(kind: FaultKind): void {
    this.#answer.fault = kind.reason;
  }

  onStreamDeadline(): void {}
}

function fieldsOf(head: Head): (readonly [string, string])[] {
  return Array.from({ length: head.count }, (_, i) => [head.name(i), head.value(i)] as const);
}
