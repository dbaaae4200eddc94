/** Options for the official NATS client; its users load the client itself. */
import type { ConnectionOptions } from '@nats-io/transport-node';

/**
 * `urls` of one NATS cluster: `nats://USER:PASSWORD@HOST:PORT`, `nats://TOKEN@HOST:PORT`, or `tls://`. The first one
 * says who signs in. A lost connection is tried again for ever, four times a second.
 */
export function natsOptions(urls: readonly string[], name: string): ConnectionOptions {
  const servers = urls.map((url) => new URL(url));
  const [first] = servers;
  const user = decodeURIComponent(first?.username ?? '');
  const pass = decodeURIComponent(first?.password ?? '');
  const credentials = user === '' ? {} : pass === '' ? { token: user } : { user, pass };
  return {
    servers: servers.map(({ host }) => host),
    ...credentials,
    ...(servers.some(({ protocol }) => protocol === 'tls:') ? { tls: {} } : {}),
    name,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    reconnectJitter: 250,
    pingInterval: 5_000,
    maxPingOut: 2,
    timeout: 5_000,
  };
}
