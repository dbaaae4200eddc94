/**
 * The whole example for a test: a gateway with the example's own configuration, its services, and two fog nodes that
 * join it, on ports of their own, in a folder that is gone afterwards. A test may change the configuration before it is
 * read.
 */
import { createHmac } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import { parse, stringify } from 'yaml';
import { createLogger } from '../../src/base/log.ts';
import { startGateway } from '../../src/main.ts';
import { freePorts } from '../../test/support/ports.ts';
import type { Scope } from '../../test/support/scope.ts';
import type { Running } from '../shared/service.ts';
import { commandLineOn, eventually, Person } from '../shared/testing.ts';
import { startForge } from './services/agent-forge.ts';
import { type FogNode, startNode } from './services/fog-node.ts';
import { startP2pFog } from './services/p2p-fog.ts';
import { startUtility } from './services/utility.ts';

export { type Answer, eventually, Person } from '../shared/testing.ts';

export const PASSWORD = 'ancient walrus paints 9 fences';
const JWT_SECRET_KEY = 'a-secret-of-thirty-two-bytes-or-more';
const FOG_SECRET = 'fog-secret';

// biome-ignore lint/suspicious/noExplicitAny: tests change what they like
export type Document = any;
type ServiceName = 'agent_forge' | 'p2p_fog' | 'utility';

export interface AiVillage {
  readonly url: string;
  readonly folder: string;
  anybody(address: string): Person;
  /** With a token that the document's `JWTHandler` would make. */
  holder(claims: Readonly<Record<string, unknown>>): Person;
  /** Registers an account and signs it in. */
  person(name: string): Promise<Person>;
  node(name: string): Promise<FogNode>;
  drill(name: ServiceName, mode: 'off' | 'errors' | 'slow'): Promise<void>;
  stopService(name: ServiceName): Promise<void>;
  gatehouse(...args: string[]): Promise<string>;
}

/** A token as PyJWT makes it, HS256. */
export function signed(claims: Readonly<Record<string, unknown>>, secret = JWT_SECRET_KEY): string {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const exp = Math.floor(Date.now() / 1_000) + 3_600;
  const head = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ exp, ...claims })}`;
  return `${head}.${createHmac('sha256', secret).update(head).digest('base64url')}`;
}

export async function startAiVillage(
  scope: Scope,
  change: (document: Document) => void = () => {},
  more: Readonly<Record<string, string>> = {},
): Promise<AiVillage> {
  const folder = await mkdtemp(join(tmpdir(), 'gh-aivillage-'));
  const [port, forge, fog, utility] = (await freePorts(4)) as [number, number, number, number];
  const url = `http://127.0.0.1:${port}`;
  const env = {
    PORT: String(port),
    AIVILLAGE_DATA: folder,
    AIVILLAGE_HOME: fileURLToPath(new URL('.', import.meta.url)),
    JWT_SECRET_KEY,
    FORGE_KEY: 'forge-key-0123456789',
    FOG_KEY: 'fog-key-012345678901',
    FORGE_PORT: String(forge),
    FOG_PORT: String(fog),
    UTILITY_PORT: String(utility),
    API_KEY_1: 'key123:user1:read,write:premium',
    API_KEY_2: 'key456:user2:read:standard',
    WORKERS: '1',
    ...more,
  };
  const closes: (() => Promise<unknown>)[] = [];
  scope.after(async () => {
    for (const close of closes.reverse()) await close();
    await rm(folder, { recursive: true, force: true });
  });
  const services: Record<ServiceName, Running> = {
    agent_forge: await startForge({ file: join(folder, 'forge.db'), port: forge, gateway: url, key: env.FORGE_KEY }),
    p2p_fog: await startP2pFog({
      file: join(folder, 'fog.db'),
      port: fog,
      gateway: url,
      key: env.FOG_KEY,
      secret: FOG_SECRET,
    }),
    utility: await startUtility({ folder, port: utility }),
  };
  const open = new Set<ServiceName>(Object.keys(services) as ServiceName[]);
  const stopService = async (name: ServiceName): Promise<void> => {
    if (open.delete(name)) await services[name].close();
  };
  for (const name of open) closes.push(() => stopService(name));
  const document: Document = parse(await readFile(new URL('gatehouse.yaml', import.meta.url), 'utf8'));
  document.gateway.watch = false;
  // All of it is one process here, on a machine that may be busy: a probe may take its time.
  for (const service of Object.values<Document>(document.services))
    Object.assign(service.healthCheck, { interval: '5s', timeout: '5s' });
  change(document);
  const configFile = join(folder, 'gatehouse.yaml');
  await writeFile(configFile, stringify(document));
  const gateway = await startGateway({ configFile, env, log: createLogger('error') });
  closes.push(() => gateway.stop({ timeoutMs: 500 }));
  const anybody = (address: string): Person => new Person(url, address);
  let people = 0;
  return {
    url,
    folder,
    anybody,
    holder(claims) {
      const made = anybody(`203.0.113.${++people}`);
      made.headers['authorization'] = `Bearer ${signed(claims)}`;
      made.id = String(claims['sub'] ?? '');
      return made;
    },
    async person(name) {
      const made = anybody(`203.0.113.${++people}`);
      const account = { email: `${name}@example.com`, username: name, password: PASSWORD };
      const response = await made.call('POST', '/v1/auth/register', account);
      if (response.status !== 201) throw new Error(response.text);
      made.signedIn(response);
      return made;
    },
    async node(name) {
      const node = await startNode({ name, gateway: url, fog: services.p2p_fog.url, secret: FOG_SECRET });
      let isOpen = true;
      const close = async (): Promise<void> => {
        if (isOpen) await node.close();
        isOpen = false;
      };
      closes.push(close);
      return { name, close };
    },
    stopService,
    async drill(name, mode) {
      const response = await fetch(`${services[name].url}/drill`, {
        method: 'PUT',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ mode, delayMs: 5_000 }),
      });
      if (!response.ok) throw new Error(await response.text());
    },
    gatehouse: commandLineOn(configFile, folder, env),
  };
}

/** A caller's WebSocket, with what it has received so far. */
export async function listen(scope: Scope, { url }: AiVillage, headers: Readonly<Record<string, string>>) {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`, { headers });
  scope.after(() => socket.terminate());
  const got: Record<string, unknown>[] = [];
  socket.on('message', (data) => got.push(JSON.parse(String(data))));
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  });
  const until = async (type: string): Promise<Record<string, unknown>> => {
    await eventually(async () => got.some((each) => each['type'] === type), `${type} comes over the WebSocket`);
    return got.find((each) => each['type'] === type)!;
  };
  return { socket, got, until };
}
