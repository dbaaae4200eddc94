/**
 * `gatehouse/registry`: a service registers itself with a gateway and stays registered.
 *
 *     import { register } from 'gatehouse/registry';
 *     const lease = await register({ gateway, token, service: 'orders', url: 'http://10.0.0.7:4001' });
 *
 * Heartbeats come at a third of the lease; when the gateway has forgotten the instance it registers again; when the
 * gateway cannot be reached it goes on trying. `lease.close()` leaves. No dependencies; runs wherever `fetch` is.
 */
import { registryCalls } from './calls.ts';
import type { LeaseTools } from './lease.ts';
import { KeptLease } from './lease.ts';
import type { Lease, RegisterOptions } from './options.ts';

export type { Lease, LeaseChanges, LeaseEvent, RegisterOptions } from './options.ts';
export { RegistrationError } from './options.ts';

const tools: LeaseTools = {
  after(ms, keepAlive, run) {
    const timer = setTimeout(run, ms);
    if (!keepAlive) timer.unref();
    return () => clearTimeout(timer);
  },
  random: Math.random,
};

/**
 * Registers and resolves with the lease once the gateway has taken it. While the gateway cannot be reached it goes on
 * trying (`signal` gives up). Rejects with a `RegistrationError` when the gateway refuses: wrong token, unknown
 * service, a field that is not valid.
 */
export async function register(options: RegisterOptions): Promise<Lease> {
  const { weight, zone, metadata, deregisterOn = [], onEvent, signal } = options;
  const lease = new KeptLease(
    registryCalls(options),
    {
      ...(weight === undefined ? {} : { weight }),
      ...(zone === undefined ? {} : { zone }),
      ...(metadata === undefined ? {} : { metadata }),
    },
    tools,
    onEvent,
  );
  await lease.open(signal);
  for (const event of new Set(deregisterOn)) leaveOn(event, lease);
  return lease;
}

function leaveOn(event: 'beforeExit' | 'SIGTERM' | 'SIGINT', lease: Lease): void {
  if (event === 'beforeExit') {
    process.once('beforeExit', () => void lease.close());
    return;
  }
  process.once(event, () => {
    void lease.close().then(() => {
      // Our listener took away what the signal does by itself. If the service listens too, ending is its business.
      if (process.listenerCount(event) === 0) process.kill(process.pid, event);
    });
  });
}
