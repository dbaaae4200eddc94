import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import type { ListenerSettings, Snapshot } from '../data/contract/snapshot.ts';
import { Ports } from './ports.ts';

function snapshotOf(port: number, host = '127.0.0.1'): Snapshot {
  const listener = { id: 'main', host, port, tls: null, proxyProtocol: false } as ListenerSettings;
  return { listeners: [listener] } as unknown as Snapshot;
}

async function listening(): Promise<{ server: Server; port: number }> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, port: (server.address() as { port: number }).port };
}

test('a port that another one listens on is told with listener and address', async () => {
  const { server, port } = await listening();
  await assert.rejects(new Ports().resolve(snapshotOf(port)), {
    message: `listener "main" cannot be bound to 127.0.0.1:${port}: another process is listening there`,
  });
  server.close();
});

test('what else stands in the way of a port is told in words', async () => {
  // Nobody has an address of RFC 5737. No name server is asked for a label of 64 letters (RFC 1035 §2.3.4).
  const noName = `${'x'.repeat(64)}.invalid`;
  await assert.rejects(new Ports().resolve(snapshotOf(8080, '192.0.2.1')), {
    message: 'listener "main" cannot be bound to 192.0.2.1:8080: this machine has no such address',
  });
  await assert.rejects(
    new Ports().resolve(snapshotOf(8080, noName)),
    /cannot be bound to x+\.invalid:8080: (?:there is no host of this name|the name could not be looked up)$/,
  );
});

test('port 0 becomes a free one, by name and in IPv6 too, which stays for the same listener', async () => {
  for (const host of ['127.0.0.1', 'localhost', '::']) {
    const ports = new Ports();
    const [first] = (await ports.resolve(snapshotOf(0, host))).listeners;
    const [again] = (await ports.resolve(snapshotOf(0, host))).listeners;
    assert.ok(first!.port > 0);
    assert.equal(again!.port, first!.port);
    ports.close();
  }
});

/**
 * True when the port can be had by one who shares it with nobody; Node's own sockets share with those that do not
 * listen.
 */
function isFree(port: number): boolean {
  const bind = `import socket; socket.socket().bind(('127.0.0.1', ${port}))`;
  return spawnSync('/usr/bin/python3', ['-c', bind]).status === 0;
}

test('a port is held from then on, before and between workers, until the listener goes', async () => {
  const ports = new Ports();
  const [{ port }] = (await ports.resolve(snapshotOf(0))).listeners as [ListenerSettings];
  assert.equal(isFree(port), false);
  const worker = createServer().listen({ port, host: '127.0.0.1', reusePort: true });
  await once(worker, 'listening');
  worker.close();
  await once(worker, 'close');
  assert.equal(isFree(port), false);
  await ports.resolve({ listeners: [] } as unknown as Snapshot);
  assert.equal(isFree(port), true);
});

/** Connects again and again from a thread of its own, which says how often that went well. */
const CALLER = `
  const { connect } = require('node:net');
  const { parentPort, workerData } = require('node:worker_threads');
  let connected = 0;
  let ended = false;
  parentPort.once('message', () => { ended = true; });
  const again = () => {
    if (ended) return parentPort.postMessage(connected);
    const socket = connect(workerData, '127.0.0.1');
    socket.on('connect', () => { if (socket.localPort !== workerData) connected++; socket.destroy(); });
    socket.on('error', () => {});
    socket.on('close', again);
  };
  again();
  parentPort.postMessage('begun');
`;

test('while ports are looked for nobody can connect: a caller would be dropped', async () => {
  const { server, port } = await listening();
  server.close();
  await once(server, 'close');
  const caller = new Worker(CALLER, { eval: true, workerData: port });
  await once(caller, 'message');
  for (let i = 0; i < 500; i++) {
    const ports = new Ports();
    await ports.resolve(snapshotOf(port));
    ports.close();
  }
  caller.postMessage('end');
  const [connected] = await once(caller, 'message');
  assert.equal(connected, 0);
});
