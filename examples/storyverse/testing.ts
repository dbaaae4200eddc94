/**
 * The whole example for a test: the services and a gateway with the example's own configuration, on ports of their own,
 * in a folder that is gone afterwards. A test may change the configuration before it is read.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serve } from '@hono/node-server';
import type { Hono } from 'hono';
import { parse, stringify } from 'yaml';
import { createLogger } from '../../src/base/log.ts';
import { startGateway } from '../../src/main.ts';
import type { Scope } from '../../test/support/scope.ts';
import { wholeLines } from '../../test/support/whole-lines.ts';
import { commandLineOn } from '../shared/testing.ts';
import { Storyteller } from './services/generator/storyteller.ts';
import { createGenerator } from './services/generator.ts';
import { createLibrary } from './services/library.ts';
import { createStories } from './services/stories.ts';
import { StoryStore } from './services/stories-store.ts';

const here = new URL('.', import.meta.url);
export const PASSWORD = 'ancient walrus paints 9 fences';

/** The configuration as it is written, variables and all. */
// biome-ignore lint/suspicious/noExplicitAny: tests change what they like
export type Document = any;

export interface StoryVerse {
  readonly url: string;
  readonly folder: string;
  /** Lines of the access log so far. */
  accessLog(): Promise<Record<string, unknown>[]>;
  /** The command line, on this gateway's configuration and data. */
  gatehouse(...args: string[]): Promise<string>;
  /** Ends one of the two instances of the stories, as a machine that goes away. */
  loseStories(): Promise<void>;
}

let storyteller: Storyteller | undefined;

function listen(scope: Scope, app: Hono): Promise<{ port: number; close: () => Promise<void> }> {
  return new Promise((resolve) => {
    const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }: AddressInfo) => {
      let isOpen = true;
      const close = (): Promise<void> =>
        new Promise((done) => {
          if (!isOpen) return done();
          isOpen = false;
          server.close(() => done());
          if ('closeAllConnections' in server) server.closeAllConnections();
        });
      scope.after(close);
      resolve({ port, close });
    });
  });
}

export async function startStoryVerse(
  scope: Scope,
  change: (document: Document) => void = () => {},
  more: Readonly<Record<string, string>> = {},
): Promise<StoryVerse> {
  const folder = await mkdtemp(join(tmpdir(), 'gh-storyverse-'));
  scope.after(() => rm(folder, { recursive: true, force: true }));
  const stores = [new StoryStore(join(folder, 'stories.db')), new StoryStore(join(folder, 'stories.db'))];
  scope.after(() => {
    for (const store of stores) store.close();
  });
  storyteller ??= new Storyteller(await readFile(new URL('text/tales.txt', here), 'utf8'));
  const [stories1, stories2] = [
    await listen(scope, createStories(stores[0]!)),
    await listen(scope, createStories(stores[1]!)),
  ];
  const library = await listen(scope, createLibrary());
  const generator = await listen(scope, createGenerator(storyteller));
  const env = {
    STORYVERSE_PORT: '0',
    STORYVERSE_DATA: folder,
    STORIES_1_PORT: String(stories1.port),
    STORIES_2_PORT: String(stories2.port),
    LIBRARY_PORT: String(library.port),
    GENERATOR_PORT: String(generator.port),
    WORKERS: '1',
    ...more,
  };
  const document: Document = parse(await readFile(new URL('gatehouse.yaml', here), 'utf8'));
  change(document);
  const configFile = join(folder, 'gatehouse.yaml');
  await writeFile(configFile, stringify(document));
  const log = createLogger('error');
  const gateway = await startGateway({ configFile, env, log });
  scope.after(async () => void (await gateway.stop({ timeoutMs: 500 })));
  const { port } = gateway.addresses[0]!;
  return {
    url: `http://127.0.0.1:${port}`,
    folder,
    async accessLog() {
      const text = await readFile(join(folder, 'access.log'), 'utf8').catch(() => '');
      return wholeLines(text).map((line) => JSON.parse(line) as Record<string, unknown>);
    },
    gatehouse: commandLineOn(configFile, folder, env),
    loseStories: () => stories2.close(),
  };
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies freely
  readonly body: any;
  readonly bytes: Buffer;
}

/** A user with a browser: an address of their own, a token once they have signed in. */
export class Visitor {
  readonly #url: string;
  readonly address: string;
  id = '';
  accessToken = '';
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
        ...(this.accessToken === '' ? {} : { authorization: `Bearer ${this.accessToken}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...this.headers,
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      redirect: 'manual',
    });
    const bytes = Buffer.from(await response.arrayBuffer());
    const text = bytes.toString('utf8');
    const isJson = /json/.test(response.headers.get('content-type') ?? '');
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: isJson ? JSON.parse(text) : undefined,
      bytes,
    };
  }

  async register(name: string): Promise<Answer> {
    const account = { email: `${name}@example.com`, username: name, password: PASSWORD };
    return this.#signedIn(await this.call('POST', '/api/auth/register', account));
  }

  async login(name: string, password = PASSWORD): Promise<Answer> {
    this.accessToken = '';
    return this.#signedIn(await this.call('POST', '/api/auth/login', { username: name, password }));
  }

  async refresh(): Promise<Answer> {
    return this.#signedIn(await this.call('POST', '/api/auth/refresh', { refreshToken: this.refreshToken }));
  }

  #signedIn(answer: Answer): Answer {
    this.accessToken = answer.body?.accessToken ?? this.accessToken;
    this.refreshToken = answer.body?.refreshToken ?? this.refreshToken;
    const payload = this.accessToken.split('.')[1];
    if (payload !== undefined) this.id = JSON.parse(Buffer.from(payload, 'base64url').toString()).sub;
    return answer;
  }
}
