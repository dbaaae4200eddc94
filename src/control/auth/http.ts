/**
 * One bounded HTTP exchange with an outside service of authentication: a deadline for all of it, a limit for the body,
 * no redirects, kept connections. node:http and not `fetch`, because redirects must not be followed, bodies must be cut
 * off at a limit while they arrive, and nothing of a cookie or cache should happen on its own.
 */
import type { Agent, IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Agent as SecureAgent } from 'node:https';
import { onDemand } from '../../base/on-demand.ts';
import { decodedCredential } from '../../base/redis.ts';
import { OUTSIDE_TIMINGS } from '../telemetry/timings.ts';

export interface OutsideRequest {
  readonly url: string;
  readonly method?: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** From the first byte sent to the last byte received. */
  readonly timeoutMs: number;
  readonly maxBytes: number;
}

export interface OutsideResponse {
  readonly status: number;
  /** Lower-case names; several of one name are joined with `, `, except that only the first Set-Cookie is kept. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** What control's parts use, so that tests can hand in their own. */
export type AskOutside = (request: OutsideRequest) => Promise<OutsideResponse>;

/** Connections kept to one service. */
const MOST_SOCKETS = 64;
const KEPT = { keepAlive: true, maxSockets: MOST_SOCKETS };

export class OutsideServices {
  #plain: Agent | undefined;
  #secure: SecureAgent | undefined;

  /** Rejects with a short reason, without the URL's password. */
  readonly ask: AskOutside = (request) => OUTSIDE_TIMINGS.of(new URL(request.url).host, this.#ask(request));

  readonly #ask: AskOutside = ({ url, method = 'GET', headers = {}, body, timeoutMs, maxBytes }) =>
    new Promise((resolve, reject) => {
      const { protocol, username, password } = new URL(url);
      const target = new URL(url);
      target.username = '';
      target.password = '';
      const secure = protocol === 'https:';
      const credentials = `${decodedCredential(username)}:${decodedCredential(password)}`;
      const auth = username === '' && password === '' ? {} : { auth: credentials };
      const options = { method, headers: { 'user-agent': 'gatehouse', ...headers }, ...auth };
      const request = secure
        ? onDemand.https.request(target, { ...options, agent: this.#secureAgent() })
        : onDemand.http.request(target, { ...options, agent: this.#plainAgent() });
      const timer = setTimeout(() => request.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
      const settle = (result: OutsideResponse | Error): void => {
        clearTimeout(timer);
        if (result instanceof Error) reject(new Error(`${target.host}: ${result.message}`));
        else resolve(result);
      };
      request.on('error', settle);
      request.on('response', (response) => {
        readBody(response, maxBytes, (text) => {
          if (text instanceof Error) request.destroy();
          settle(
            text instanceof Error
              ? text
              : { status: response.statusCode ?? 0, headers: oneEach(response.headers), body: text },
          );
        });
      });
      request.end(body);
    });

  #plainAgent(): Agent {
    this.#plain ??= new onDemand.http.Agent(KEPT);
    return this.#plain;
  }

  #secureAgent(): SecureAgent {
    this.#secure ??= new onDemand.https.Agent(KEPT);
    return this.#secure;
  }

  close(): void {
    this.#plain?.destroy();
    this.#secure?.destroy();
  }
}

function readBody(response: IncomingMessage, maxBytes: number, done: (text: string | Error) => void): void {
  const chunks: Buffer[] = [];
  let received = 0;
  response.on('data', (chunk: Buffer) => {
    received += chunk.length;
    if (received > maxBytes) done(new Error(`the response is longer than ${maxBytes} bytes`));
    else chunks.push(chunk);
  });
  response.on('end', () =>
    done(response.complete ? Buffer.concat(chunks).toString('utf8') : new Error('the response was cut off')),
  );
  response.on('error', done);
}

function oneEach(headers: IncomingHttpHeaders): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) result[name] = Array.isArray(value) ? (value[0] ?? '') : value;
  }
  return result;
}
