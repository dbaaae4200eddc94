/**
 * A gateway in front of an upstream that does exactly what a test says, for tests that go by sections of an RFC: one
 * gateway per file, one behaviour of the upstream per test, and what each side got as it came.
 */
import type { Socket } from 'node:net';
import { before, beforeEach } from 'node:test';
import { type ReadMessage, readRequests, valuesOf } from '../../fuzz/support/strict-reader.ts';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { type Answer, RawCaller } from '../../support/raw.ts';
import { suiteScope } from '../../support/scope.ts';
import { until } from '../../support/until.ts';
import { rawUpstream } from '../../support/upstream.ts';

export const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

/** What the upstream does with a whole request: sends a text, or anything. */
export type Behaviour = string | ((request: ReadMessage, socket: Socket, nth: number) => void);

export class Scene {
  readonly settings: Readonly<Record<string, unknown>>;
  behaviour: Behaviour = OK;
  /** Whole requests that the upstream has got in this test, in order, on whichever connection. */
  requests: ReadMessage[] = [];
  /** Connections to the upstream that this test has used. */
  sockets: Socket[] = [];
  /** All that came on each of them. */
  received: string[] = [];
  #gateway: TestGateway | null = null;
  readonly #callers: RawCaller[] = [];

  /** Call it in the body of `describe`. `settings` are those of the service. */
  constructor(settings: Readonly<Record<string, unknown>> = {}, route: Readonly<Record<string, unknown>> = {}) {
    this.settings = settings;
    const scope = suiteScope();
    before(async () => {
      const upstream = await rawUpstream(scope, (socket) => this.#serve(socket));
      this.#gateway = await startTestGateway(scope, {
        services: { s: { instances: [{ url: upstream.url }], retries: 0, ...settings } },
        routes: [{ match: { path: '/*' }, service: 's', auth: 'public', ...route }],
      });
    });
    beforeEach(() => {
      for (const caller of this.#callers.splice(0)) caller.close();
      for (const socket of this.sockets) socket.destroy();
      this.behaviour = OK;
      this.requests = [];
      this.sockets = [];
      this.received = [];
    });
  }

  #serve(socket: Socket): void {
    let text = '';
    let answered = 0;
    const nth = this.sockets.push(socket) - 1;
    const { sockets, received, requests } = this;
    socket.on('data', (bytes: Buffer) => {
      text += bytes.toString('latin1');
      received[nth] = text;
      const { messages } = readRequests(text);
      for (const request of messages.slice(answered)) {
        answered++;
        const index = requests.push(request) - 1;
        if (sockets !== this.sockets) return; // left over from the test before
        if (typeof this.behaviour === 'string') socket.write(this.behaviour, 'latin1');
        else this.behaviour(request, socket, index);
      }
    });
  }

  caller(): RawCaller {
    const caller = new RawCaller(this.#gateway!.port);
    this.#callers.push(caller);
    return caller;
  }

  /** Sends a text on a connection of its own and gives the first answer to it. */
  ask(text: string, method = 'GET'): Promise<Answer> {
    return this.caller().send(text).answer(method);
  }

  /** Values of a field in the latest request that the upstream got. */
  upstreamField(lowerName: string): string[] {
    return valuesOf(this.requests.at(-1)!.fields, lowerName);
  }

  until(condition: () => boolean, what: string): Promise<void> {
    return until(condition, what);
  }
}

export function get(path = '/', fields = ''): string {
  return `GET ${path} HTTP/1.1\r\nHost: a.example\r\n${fields}\r\n`;
}

export function post(body: string, fields = '', method = 'POST'): string {
  return `${method} / HTTP/1.1\r\nHost: a.example\r\nContent-Length: ${body.length}\r\n${fields}\r\n${body}`;
}
