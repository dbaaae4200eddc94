/**
 * The example on free ports, for its tests: the instances and the gateway in the test's own process, data in a folder
 * that is removed afterwards. The gateway reads gatehouse.ts and config/gateway-config.json, as the launcher has it.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createLogger } from '../../src/base/log.ts';
import { type RunningGateway, startGateway } from '../../src/main.ts';
import type { Scope } from '../../test/support/scope.ts';
import { localInstances, type ServiceName, serviceAddresses } from './instances.ts';
import { aiPlanner } from './services/ai-planner.ts';
import { analyticsDashboard } from './services/analytics-dashboard.ts';
import { projectManager } from './services/project-manager.ts';
import { type Instance, type ServiceDefinition, startInstance } from './services/service.ts';
import { smartNotifications } from './services/smart-notifications.ts';
import { workflowOrchestrator } from './services/workflow-orchestrator.ts';

export const DEFINITIONS: Readonly<Record<ServiceName, ServiceDefinition>> = {
  'project-manager': projectManager,
  'ai-planner': aiPlanner,
  'workflow-orchestrator': workflowOrchestrator,
  'smart-notifications': smartNotifications,
  'analytics-dashboard': analyticsDashboard,
};

/** A caller without a password, for the tests that are not about signing in. */
export const KEY = 'a-key-of-the-tests-and-nobody-else';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The body as JSON. */
  json<Body = Record<string, unknown>>(): Body;
}

export interface CallOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON unless it is text. */
  readonly body?: unknown;
  /** Without the API key of the tests. */
  readonly anonymous?: boolean;
  /** Address that the call comes from, one of 127.0.0.0/8. */
  readonly from?: string;
  /** On a connection of its own, which any worker may get. */
  readonly alone?: boolean;
}

export interface System {
  readonly folder: string;
  readonly gateway: RunningGateway;
  readonly url: string;
  readonly logged: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  call(path: string, options?: CallOptions): Promise<Answer>;
  /** Tells one instance to fail in some way, or to stop failing. */
  drill(instance: string, mode: 'off' | 'errors' | 'slow' | 'down', delayMs?: number): Promise<void>;
  startInstance(name: string): Promise<void>;
  stopInstance(name: string): Promise<void>;
}

/** All calls of one system go over one connection at a time, so that one worker and its balancers see them in order. */
function caller(base: string, scope: Scope) {
  const agents = new Map<string, Agent>();
  scope.after(() => {
    for (const agent of agents.values()) agent.destroy();
  });
  return (path: string, options: CallOptions = {}): Promise<Answer> => {
    const from = options.from ?? '127.0.0.1';
    const kept = agents.get(from) ?? new Agent({ keepAlive: true, maxSockets: 1 });
    agents.set(from, kept);
    const agent = options.alone === true ? false : kept;
    const { body } = options;
    const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    const headers: Record<string, string> = {
      ...(options.anonymous === true ? {} : { 'X-API-Key': KEY }),
      ...(text === undefined ? {} : { 'Content-Type': 'application/json' }),
      ...options.headers,
    };
    return new Promise((resolve, reject) => {
      const method = options.method ?? (text === undefined ? 'GET' : 'POST');
      const sent = request(`${base}${path}`, { method, headers, agent, localAddress: from }, (response) => {
        let received = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          received += chunk;
        });
        response.on('error', reject);
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text: received,
            json: <Body>() => JSON.parse(received) as Body,
          }),
        );
      });
      sent.on('error', reject);
      sent.end(text);
    });
  };
}

/** A port of 127.0.0.1 without a listener. */
async function unusedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** What tests change in config/gateway-config.json. */
export interface GatewayDocument {
  readonly gateway: Record<string, unknown>;
  readonly services: Record<string, Record<string, unknown>>;
}

/** Writes a changed copy of config/gateway-config.json. */
export function writeEdited(file: string, edit: (document: GatewayDocument) => void): void {
  const document = JSON.parse(
    readFileSync(new URL('config/gateway-config.json', import.meta.url), 'utf8'),
  ) as GatewayDocument;
  edit(document);
  writeFileSync(file, JSON.stringify(document));
}

export interface SystemOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Only the instances of these services run. Default: all. */
  readonly services?: readonly ServiceName[];
  /** Changes a copy of config/gateway-config.json, which the gateway then reads. */
  readonly edit?: (document: GatewayDocument) => void;
  /** Runs when the folder is there and before the gateway starts. */
  readonly before?: (env: Readonly<Record<string, string>>) => void;
}

export async function startSystem(scope: Scope, options: SystemOptions = {}): Promise<System> {
  const folder = mkdtempSync(join(tmpdir(), 'gh-enhanced-'));
  scope.after(() => rmSync(folder, { recursive: true, force: true }));
  const running = new Map<string, Instance>();
  scope.after(async () => {
    for (const instance of running.values()) await instance.close();
  });
  const ports = new Map<string, number>();
  const start = async (name: string, service: ServiceName): Promise<void> => {
    const port = ports.get(name) ?? 0;
    const instance = await startInstance(DEFINITIONS[service], { instance: name, port, folder });
    running.set(name, instance);
    ports.set(name, instance.port);
  };
  const instances = localInstances().filter(
    ({ service }) => options.services === undefined || options.services.includes(service as ServiceName),
  );
  for (const { name, service, isStarted } of instances) {
    if (isStarted) await start(name, service as ServiceName);
    else ports.set(name, await unusedPort());
  }
  const env: Record<string, string> = {
    PORT: '0',
    DATA_DIR: folder,
    DEMO_ACCOUNT: 'true',
    SERVICE_ADDRESSES: serviceAddresses([...ports].map(([name, port]) => ({ name, port }))),
    API_KEY_1: `${KEY}:tester::enterprise`,
    ...options.env,
  };
  if (options.edit !== undefined) {
    env['GATEWAY_CONFIG'] = join(folder, 'gateway-config.json');
    writeEdited(env['GATEWAY_CONFIG'], options.edit);
  }
  options.before?.(env);
  const logged: string[] = [];
  const gateway = await startGateway({
    configFile: fileURLToPath(new URL('gatehouse.ts', import.meta.url)),
    env,
    log: createLogger('info', (line) => void logged.push(line)),
    writeLog: (line) => void logged.push(line),
  });
  scope.after(async () => void (await gateway.stop({ timeoutMs: 500 })));
  const { port } = gateway.addresses[0]!;
  const url = `http://127.0.0.1:${port}`;
  return {
    folder,
    gateway,
    url,
    logged,
    env,
    call: caller(url, scope),
    drill: async (name, mode, delayMs = 5_000) => {
      const body = JSON.stringify({ mode, delayMs });
      const headers = { 'Content-Type': 'application/json' };
      const answer = await fetch(`http://127.0.0.1:${ports.get(name)}/drill`, { method: 'PUT', body, headers });
      if (!answer.ok) throw new Error(`${name} did not take the drill: ${await answer.text()}`);
    },
    startInstance: (name) => start(name, name.replace(/-\d+$/, '') as ServiceName),
    stopInstance: async (name) => {
      const instance = running.get(name);
      running.delete(name);
      await instance?.close();
    },
  };
}

/** Looks again until it is so. */
export async function eventually(condition: () => Promise<boolean>, what: string, deadlineMs = 15_000): Promise<void> {
  const giveUpMs = performance.now() + deadlineMs;
  while (!(await condition())) {
    if (performance.now() > giveUpMs) throw new Error(`it did not happen within ${deadlineMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
