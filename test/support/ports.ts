/**
 * Free loopback ports for what cannot be told to take any port. Below the range from which the system gives ports to
 * outgoing connections (32768 on Linux), so that none of the many in other tests takes one before it is used.
 */
import { createServer } from 'node:net';

const LOWEST = 20_000;
const COUNT = 12_000;

export async function freePort(): Promise<number> {
  const [port] = await freePorts(1);
  return port!;
}

/** So many that differ. */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  for (let tries = 0; ports.size < count; tries++) {
    if (tries === 1_000) throw new Error('no free port on 127.0.0.1');
    const port = LOWEST + Math.floor(Math.random() * COUNT);
    if (!ports.has(port) && (await isFree(port))) ports.add(port);
  }
  return [...ports];
}

/** Nobody listens on it. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
