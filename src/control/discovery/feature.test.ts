/**
 * Discovery, registry and health checks together, with the real compiler and real shared memory: what is registered or
 * written to a file becomes an instance of the snapshot, is probed, and its health bit is what the workers read.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { describe, it } from 'node:test';
import { until } from '../../../test/support/until.ts';
import { createLogger } from '../../base/log.ts';
import { createInstanceTable, InstanceTable } from '../../data/contract/instance-table.ts';
import { readServiceState } from '../../data/contract/service-state.ts';
import type { Compiled } from '../config/compile.ts';
import { compile } from '../config/compile.ts';
import type { LoadedConfig } from '../config/load.ts';
import { loadConfig } from '../config/load.ts';
import type { Feature } from '../feature.ts';
import { ServicesFeature } from './feature.ts';
import type { InstanceInput } from './instance.ts';

const TOKEN = 'a-token-of-some-length';

/** As much of the main thread as the feature needs. */
class Host {
  readonly table = new InstanceTable(createInstanceTable());
  readonly feature: ServicesFeature & Feature;
  readonly lines: Record<string, unknown>[] = [];
  readonly folder: string;
  readonly builtins = new Map<string, (request: Request) => Response | Promise<Response>>();
  #config: LoadedConfig | undefined;
  #compiled: Compiled | undefined;
  #discovered: Readonly<Record<string, readonly InstanceInput[]>> = {};

  private constructor(folder: string) {
    this.folder = folder;
    this.feature = new ServicesFeature({
      log: createLogger('info', (line) => this.lines.push(JSON.parse(line))),
      instances: this.table,
      env: {},
      addresses: () => [],
      listed: () => this.#config?.document.services ?? {},
      setDiscovered: async (instances) => {
        this.#discovered = instances;
        return this.#publish();
      },
      serveBuiltin: async (name, fetch) => {
        assert.ok(!this.builtins.has(name), `${name} is served once`);
        this.builtins.set(name, fetch);
      },
    });
  }

  static async start(t: TestContext, document: object, folder?: string): Promise<Host> {
    const host = new Host(folder ?? (await temporary(t)));
    t.after(() => host.feature.stop());
    await host.#load(document);
    await host.feature.start?.(host.compiled);
    host.feature.applied?.(host.compiled);
    return host;
  }

  async reload(document: object): Promise<void> {
    await this.#load(document);
    this.#publish();
  }

  get compiled(): Compiled {
    assert.ok(this.#compiled);
    return this.#compiled;
  }

  /** URLs of a service in the published snapshot, `!` before those that the workers hold for dead. */
  instances(name = 'app'): string[] {
    const service = this.compiled.snapshot.services.find((each) => each.name === name);
    assert.ok(service);
    return readServiceState(this.table, service).instances.map(({ url, healthy }) => (healthy ? url : `!${url}`));
  }

  messages(): unknown[] {
    return this.lines.map((line) => line['message']);
  }

  async call(method: string, path: string, body?: object): Promise<Response> {
    const serve = this.builtins.get('builtin:registry');
    assert.ok(serve, 'the registry is served');
    const init = { method, headers: { authorization: `Bearer ${TOKEN}` }, ...(body && { body: JSON.stringify(body) }) };
    return serve(new Request(`http://localhost${path}`, init));
  }

  async #load(document: object): Promise<void> {
    const gateway = { dataDir: this.folder, listeners: undefined };
    const loaded = await loadConfig({
      document: { gateway: { dataDir: gateway.dataDir }, ...document },
      cwd: this.folder,
    });
    assert.ok(loaded.ok, JSON.stringify(loaded));
    this.#config = loaded.config;
    this.#compile();
  }

  #compile(): void {
    assert.ok(this.#config);
    const slots = this.#compiled?.slots;
    const compiled = compile(this.#config, { more: { discovered: this.#discovered }, ...(slots && { slots }) });
    assert.ok(compiled.ok, JSON.stringify(compiled));
    this.#compiled = compiled;
  }

  #publish(): { ok: boolean; problems: readonly string[] } {
    this.#compile();
    for (const service of this.compiled.snapshot.services) this.table.claim(service, false);
    this.feature.applied?.(this.compiled);
    return { ok: true, problems: [] };
  }
}

async function temporary(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'gatehouse-services-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

class Instance {
  status = 200;
  #server: Server;
  #port = 0;

  constructor() {
    this.#server = this.#make();
  }

  static async start(t: TestContext): Promise<Instance> {
    const instance = new Instance();
    await instance.listen();
    t.after(() => instance.kill());
    return instance;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async listen(): Promise<void> {
    this.#server = this.#make();
    await new Promise<void>((resolve) => this.#server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  async kill(): Promise<void> {
    this.#server.closeAllConnections();
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve));
  }

  #make(): Server {
    return http.createServer((_, response) => response.writeHead(this.status).end());
  }
}

const routes = [{ match: { path: '/*' }, service: 'app', auth: 'public' }];
const healthCheck = { interval: '100ms', unhealthyThreshold: 2, healthyThreshold: 2 };
const registered = (more: object = {}) => ({
  registry: { token: TOKEN },
  services: { app: { discovery: { registry: true }, ...more } },
  routes,
});
const REGISTER = '/api/v1/registry/services/app/instances';

describe('services feature', () => {
  it('makes a registered instance part of the snapshot, probes it, and tells the workers when it dies and returns', async (t) => {
    const instance = await Instance.start(t);
    const host = await Host.start(t, registered({ healthCheck }));
    assert.deepEqual(host.instances(), []);
    assert.equal((await host.call('POST', REGISTER, { url: instance.url })).status, 201);
    await until(() => host.instances().join() === instance.url, 'the instance in the snapshot');
    await until(() => host.messages().includes('instance healthy'), 'a good probe');
    await instance.kill();
    await until(() => host.instances().join() === `!${instance.url}`, 'the dead instance');
    await instance.listen();
    await until(() => host.instances().join() === instance.url, 'the instance that came back');
    const [health] = host.feature.status().probes!.values();
    assert.deepEqual([health?.status, health?.lastStatus], ['healthy', 200]);
    assert.deepEqual(
      host.feature
        .status()
        .sources!.get('app')
        ?.map(({ source, instances }) => [source, instances]),
      [['registry', 1]],
    );
  });

  it('knows registered instances before it is started again', async (t) => {
    const folder = await temporary(t);
    const first = await Host.start(t, registered(), folder);
    await first.call('POST', REGISTER, { url: 'http://10.0.0.7:4001', weight: 3 });
    await first.feature.stop?.();
    const second = await Host.start(t, registered(), folder);
    assert.deepEqual(second.instances(), ['http://10.0.0.7:4001'], 'in the first snapshot, not a moment later');
    assert.equal(second.compiled.snapshot.services.find(({ name }) => name === 'app')?.instances[0]?.weight, 3);
  });

  it('adds what a file lists to what the document lists, and follows the file', async (t) => {
    const folder = await temporary(t);
    const path = join(folder, 'list.yaml');
    await writeFile(path, '- http://10.0.0.2:2\n');
    const document = {
      services: { app: { instances: ['http://10.0.0.1:1'], discovery: { file: 'list.yaml' } } },
      routes,
    };
    const host = await Host.start(t, document, folder);
    assert.deepEqual(host.instances(), ['http://10.0.0.1:1', 'http://10.0.0.2:2']);
    await writeFile(`${path}.new`, '- http://10.0.0.3:3\n');
    await rename(`${path}.new`, path);
    await until(() => host.instances().join() === 'http://10.0.0.1:1,http://10.0.0.3:3', 'the change of the file');
  });

  it('lets a standby tier take over when every instance before it is down', async (t) => {
    const [main, standby] = [await Instance.start(t), await Instance.start(t)];
    const folder = await temporary(t);
    await writeFile(join(folder, 'l.yaml'), `- url: ${main.url}\n- {url: "${standby.url}", priority: 1}\n`);
    const document = { services: { app: { discovery: { file: 'l.yaml' }, healthCheck } }, routes };
    const host = await Host.start(t, document, folder);
    const weights = () =>
      host.compiled.snapshot.services.find(({ name }) => name === 'app')?.instances.map(({ weight }) => weight);
    assert.deepEqual(weights(), [1, 0]);
    main.status = 503;
    await until(() => weights()?.join() === '1,1', 'the standby in service');
    main.status = 200;
    await until(() => weights()?.join() === '1,0', 'the first tier again');
  });

  it('takes found instances out when a service loses its discovery', async (t) => {
    const host = await Host.start(t, registered());
    await host.call('POST', REGISTER, { url: 'http://10.0.0.7:4001' });
    await until(() => host.instances().length === 1, 'the instance');
    await host.reload({ registry: { token: TOKEN }, services: { app: { instances: ['http://10.0.0.1:1'] } }, routes });
    await until(() => host.instances().join() === 'http://10.0.0.1:1', 'the configured instance alone');
    assert.equal((await host.call('POST', REGISTER, { url: 'http://10.0.0.8:1' })).status, 404);
  });

  it('begins to serve the registry when a reload brings it, and changes its token', async (t) => {
    const host = await Host.start(t, { services: { app: { instances: ['http://10.0.0.1:1'] } }, routes });
    assert.equal(host.builtins.size, 0);
    await host.reload(registered());
    await until(() => host.builtins.has('builtin:registry'), 'the registry is served');
    assert.equal((await host.call('POST', REGISTER, { url: 'http://10.0.0.7:4001' })).status, 201);
    await host.reload({ ...registered(), registry: { token: 'another-token-of-some-length' } });
    assert.equal((await host.call('GET', '/api/v1/registry/services')).status, 401);
  });

  it('refuses to start when services take registrations and there is no registry', async (t) => {
    const document = { services: { app: { discovery: { registry: true } } }, routes };
    await assert.rejects(Host.start(t, document), /no section `registry` with a token: app/);
  });

  it('has the shorthand of the Enhanced document as a health check', async (t) => {
    const instance = await Instance.start(t);
    instance.status = 500;
    const loadBalancing = { algorithm: 'round-robin', healthCheckInterval: 100 };
    const host = await Host.start(t, { services: { app: { instances: [instance.url], loadBalancing } }, routes });
    await until(() => host.instances().join() === `!${instance.url}`, 'the failing instance');
    assert.equal(host.lines.find((line) => line['message'] === 'instance unhealthy')?.['reason'], 'status 500');
  });

  it('shows a source that fails as something that the gateway leans on, with the last good count', async (t) => {
    const folder = await temporary(t);
    const path = join(folder, 'list.yaml');
    await writeFile(path, '- http://10.0.0.2:2\n');
    const host = await Host.start(t, { services: { app: { discovery: { file: 'list.yaml' } } }, routes }, folder);
    const name = 'discovery:app/file';
    const detail = (problem: string | null) => ({ instances: 1, problem });
    assert.deepEqual(host.feature.dependencies(), [{ name, available: true, required: false, detail: detail(null) }]);
    await writeFile(path, 'not a list');
    await until(() => host.feature.dependencies()[0]?.available === false, 'the problem');
    assert.deepEqual(host.instances(), ['http://10.0.0.2:2']);
    assert.match(String(host.feature.dependencies()[0]?.detail.problem), /must be a list of instances/);
  });

  it('gives metrics per service, source and state', async (t) => {
    const host = await Host.start(t, registered({ healthCheck: { interval: '1h' } }));
    await host.call('POST', REGISTER, { url: 'http://127.0.0.1:1' });
    await until(() => host.instances().length === 1, 'the instance');
    const metrics = Object.fromEntries(
      host.feature
        .metrics()
        .map(({ name, samples }) => [
          name,
          samples.map(({ labels, value }) => [...Object.values(labels), value].join(' ')),
        ]),
    );
    assert.deepEqual(metrics['gatehouse_registry_leases'], ['app active 1', 'app held 0']);
    assert.ok(metrics['gatehouse_discovery_instances']?.includes('app registry 1'));
    assert.deepEqual(metrics['gatehouse_discovery_problem'], ['app registry 0']);
    assert.equal(metrics['gatehouse_health_instances']?.length, 3);
  });
});
