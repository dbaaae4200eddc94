/**
 * The registration API on a socket, without a gateway around it: for tests of what talks to it. It can be told to
 * refuse everything, and be stopped and started again on its port with what it had kept.
 */
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAdaptorServer } from '@hono/node-server';
import type { FakeClock } from '../../src/base/clock.ts';
import { createLogger } from '../../src/base/log.ts';
import { createRegistryApp } from '../../src/control/discovery/registry/app.ts';
import { hashToken, registryOptions, registrySettings } from '../../src/control/discovery/registry/options.ts';
import { Registry } from '../../src/control/discovery/registry/registry.ts';
import { SharedRegistry } from '../../src/control/discovery/registry/shared-registry.ts';
import { memoryStore } from '../../src/control/discovery/registry/store.ts';
import { Facts } from '../../src/control/facts.ts';
import { FakeTimers } from './fake-timers.ts';

export const REGISTRATION_TOKEN = 'a-token-of-some-length';

export class RegistryServer {
  readonly timers: FakeTimers;
  /** `METHOD path`, in the order they came. */
  readonly calls: string[] = [];
  /** Status that every call gets instead of an answer. */
  refuseWith: number | null = null;
  #registry: Registry;
  #server: Server;
  #port = 0;

  private constructor(timers: FakeTimers, registry: Registry) {
    this.timers = timers;
    this.#registry = registry;
    this.#server = this.#make();
  }

  static async start(clock?: FakeClock): Promise<RegistryServer> {
    const timers = new FakeTimers(clock);
    const server = new RegistryServer(timers, await openRegistry(timers));
    await server.#listen();
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get registry(): Registry {
    return this.#registry;
  }

  /** URLs registered for `orders`. */
  get registered(): string[] {
    return (this.#registry.list('orders') ?? []).map((lease) => lease.url);
  }

  /** Forgets everybody, as a gateway does that lost its data. */
  async forget(): Promise<void> {
    this.#registry = await openRegistry(this.timers);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve));
  }

  /** On the port that it had. */
  async restart(): Promise<void> {
    await this.stop();
    this.#server = this.#make();
    await this.#listen();
  }

  #make(): Server {
    return createAdaptorServer({
      fetch: (request: Request) => {
        const { pathname } = new URL(request.url);
        this.calls.push(`${request.method} ${pathname}`);
        if (this.refuseWith !== null) return new Response('busy', { status: this.refuseWith });
        return createRegistryApp({
          registry: new SharedRegistry({
            registry: this.#registry,
            facts: new Facts(),
            clock: this.timers.clock,
            timers: this.timers,
            log: createLogger('silent'),
          }),
          current: () => ({ tokenHashes: [hashToken(REGISTRATION_TOKEN)], errorFormat: 'problem' }),
          clock: this.timers.clock,
          log: createLogger('silent'),
        }).fetch(request);
      },
    }) as Server;
  }

  async #listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (this.#server.address() as AddressInfo).port;
  }
}

async function openRegistry(timers: FakeTimers): Promise<Registry> {
  const { settings } = registrySettings(registryOptions.parse({ token: REGISTRATION_TOKEN }));
  const environment = { store: memoryStore(), clock: timers.clock, timers, log: createLogger('silent') };
  const registry = await Registry.open(environment, settings);
  registry.configure(settings, new Map([['orders', { allow: [], maxInstances: 10 }]]));
  return registry;
}
