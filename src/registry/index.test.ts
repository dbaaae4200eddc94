/** The example service as a process of its own: it registers, ends in several ways, and the registry knows. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { TestContext } from 'node:test';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { REGISTRATION_TOKEN, RegistryServer } from '../../test/support/registry-server.ts';
import { until } from '../../test/support/until.ts';
import { discoveryOptions } from '../control/discovery/options.ts';
import { registryOptions } from '../control/discovery/registry/options.ts';
import { healthCheckOptions } from '../control/health/options.ts';
import { register } from './index.ts';

const EXAMPLE = new URL('../../examples/registry/', import.meta.url);
const CLIENT = new URL('./index.ts', import.meta.url);

async function gateway(t: TestContext): Promise<RegistryServer> {
  const server = await RegistryServer.start();
  t.after(() => server.stop());
  return server;
}

function run(t: TestContext, args: readonly string[], env: Record<string, string>): ChildProcess {
  const child = spawn(process.execPath, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  return child;
}

function runExample(t: TestContext, server: RegistryServer): ChildProcess {
  const env = { GATEWAY: server.url, GATEHOUSE_REGISTRY_TOKEN: REGISTRATION_TOKEN };
  return run(t, [fileURLToPath(new URL('service.ts', EXAMPLE))], env);
}

describe('the example service', () => {
  it('registers, and leaves on SIGTERM, which still ends it', async (t) => {
    const server = await gateway(t);
    const child = runExample(t, server);
    assert.ok(child.stdout);
    // What it prints comes after it has begun to listen for signals.
    const [line] = await once(child.stdout, 'data');
    assert.match(String(line), /is registered as/);
    const answer = await fetch(`${server.registered[0]}/orders/1`);
    assert.deepEqual(await answer.json(), { answeredBy: server.registered[0], path: '/orders/1' });
    child.kill('SIGTERM');
    const [code, signal] = await once(child, 'exit');
    assert.deepEqual([code, signal], [null, 'SIGTERM']);
    assert.deepEqual(server.registered, []);
  });

  it('is gone after its lease when it dies without a word', async (t) => {
    const server = await gateway(t);
    const child = runExample(t, server);
    await until(() => server.registered.length === 1, 'a registration', 10_000);
    child.kill('SIGKILL');
    await once(child, 'exit');
    await server.timers.advance(29_000);
    assert.equal(server.registered.length, 1);
    await server.timers.advance(1_000);
    assert.deepEqual(server.registered, []);
  });

  it('has a configuration whose sections are valid', async () => {
    const document = parse(await readFile(new URL('gatehouse.yaml', EXAMPLE), 'utf8'));
    registryOptions.parse({ ...document.registry, token: REGISTRATION_TOKEN });
    discoveryOptions.parse(document.services.orders.discovery);
    healthCheckOptions.parse(document.services.orders.healthCheck);
  });
});

describe('register', () => {
  it('leaves when nothing is left to do, if asked to, and does not keep the process alive', async (t) => {
    const server = await gateway(t);
    const script = `
      import { register } from ${JSON.stringify(CLIENT.href)};
      await register({
        gateway: ${JSON.stringify(server.url)}, token: ${JSON.stringify(REGISTRATION_TOKEN)},
        service: 'orders', url: 'http://10.0.0.7:4001', deregisterOn: ['beforeExit'],
      });`;
    const child = run(t, ['--input-type=module', '-e', script], {});
    const [code] = await once(child, 'exit');
    assert.equal(code, 0);
    assert.deepEqual(
      server.calls.map((call) => call.split(' ')[0]),
      ['POST', 'DELETE'],
    );
    assert.deepEqual(server.registered, []);
  });

  it('ends the process by SIGTERM after it has left', async (t) => {
    const server = await gateway(t);
    const script = `
      import { register } from ${JSON.stringify(CLIENT.href)};
      await register({
        gateway: ${JSON.stringify(server.url)}, token: ${JSON.stringify(REGISTRATION_TOKEN)},
        service: 'orders', url: 'http://10.0.0.7:4001', deregisterOn: ['SIGTERM'],
      });
      process.kill(process.pid, 'SIGTERM');
      setInterval(() => {}, 1000);`;
    const child = run(t, ['--input-type=module', '-e', script], {});
    const [, signal] = await once(child, 'exit');
    assert.equal(signal, 'SIGTERM');
    assert.deepEqual(server.registered, []);
    assert.equal(server.calls.length, 2);
  });

  it('works in the process that calls it, with the tools of the system', async (t) => {
    const server = await gateway(t);
    const events: string[] = [];
    const lease = await register({
      gateway: server.url,
      token: REGISTRATION_TOKEN,
      service: 'orders',
      url: 'http://10.0.0.7:4001',
      weight: 3,
      onEvent: (event) => events.push(event.type),
    });
    assert.equal(server.registry.list('orders')?.[0]?.weight, 3);
    assert.equal(lease.state, 'active');
    await lease.close();
    assert.deepEqual([server.registered, events], [[], ['registered', 'closed']]);
  });
});
