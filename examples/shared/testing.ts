/** For the tests of the examples: a caller, the command line, and waiting for what happens soon. */
import { EventEmitter } from 'node:events';
import { main } from '../../src/cli/gatehouse.ts';

/** Something that happens soon may take so long on a busy machine. */
const SOON_MS = 60_000;
/** Between two looks: the caller has a limit of requests, too. */
const PAUSE_MS = 200;

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies freely
  readonly body: any;
}

/** A caller with its own address, and a token or key. */
export class Person {
  readonly #url: string;
  readonly address: string;
  id = '';
  refreshToken = '';
  readonly headers: Record<string, string> = {};

  constructor(url: string, address: string) {
    this.#url = url;
    this.address = address;
  }

  async call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const response = await fetch(this.#url + path, {
      method,
      headers: {
        'x-forwarded-for': this.address,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...this.headers,
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = /json/.test(response.headers.get('content-type') ?? '');
    return { status: response.status, headers: response.headers, text, body: isJson ? JSON.parse(text) : undefined };
  }

  signedIn({ body }: Answer): void {
    this.headers['authorization'] = `Bearer ${body.accessToken}`;
    this.refreshToken = body.refreshToken;
    this.id = JSON.parse(Buffer.from(body.accessToken.split('.')[1], 'base64url').toString()).sub;
  }
}

/** Looks again until it is so. */
export async function eventually(condition: () => Promise<boolean>, what: string): Promise<void> {
  const giveUpMs = performance.now() + SOON_MS;
  while (!(await condition())) {
    if (performance.now() > giveUpMs) throw new Error(`it did not happen within ${SOON_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

/**
 * The command line as an operator runs it on a configuration, without a process of its own; rejects with what it says.
 */
export function commandLineOn(
  configFile: string,
  cwd: string,
  env: Readonly<Record<string, string>>,
): (...args: string[]) => Promise<string> {
  return async (...args) => {
    const said = { out: '', err: '' };
    const code = await main([...args, '--config', configFile], {
      cwd,
      env,
      signals: new EventEmitter(),
      exit: () => {},
      out: (text) => {
        said.out += text;
      },
      err: (text) => {
        said.err += text;
      },
    });
    if (code !== 0) throw new Error(said.err);
    return said.out;
  };
}
