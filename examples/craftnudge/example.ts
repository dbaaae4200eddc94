import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Example } from '../run.ts';

/** Ports and folder can be set from outside; the same variables stand in gatehouse.yaml. */
const port = (name: string, usual: number): number => Number(process.env[name] ?? usual);
const gateway = port('GATEWAY_PORT', 8000);
const url = `http://127.0.0.1:${gateway}`;
const data = process.env['CRAFTNUDGE_DATA'] ?? fileURLToPath(new URL('data', import.meta.url));
mkdirSync(data, { recursive: true });
/** Made anew at each start: only the gateway and its services know them. */
const secret = (): string => randomBytes(24).toString('base64url');
const env = {
  GATEWAY: url,
  CRAFTNUDGE_DATA: data,
  GATEHOUSE_REGISTRY_TOKEN: secret(),
  TRACKER_KEY: secret(),
  ANALYTICS_KEY: secret(),
};
const json = `-H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json'`;
const commit = `"repository":"demo","message":"feat: begin","author":"Ada","authored_at":"2026-01-05T09:00:00+01:00","files":[{"path":"a.ts","additions":12,"deletions":3}]`;

export default {
  title: 'CraftNudge: commits are tracked, analysed, and answered with nudges, by services that register themselves.',
  services: [
    {
      name: 'commit-tracker (1)',
      file: 'services/commit-tracker.ts',
      port: port('TRACKER_1_PORT', 4401),
      env: { ...env, INSTANCE: 'commit-tracker-1', WEIGHT: '2' },
    },
    {
      name: 'commit-tracker (2)',
      file: 'services/commit-tracker.ts',
      port: port('TRACKER_2_PORT', 4402),
      env: { ...env, INSTANCE: 'commit-tracker-2' },
    },
    {
      name: 'analytics',
      file: 'services/analytics.ts',
      port: port('ANALYTICS_PORT', 4403),
      env: { ...env, ANALYTICS_GRPC_PORT: process.env['ANALYTICS_GRPC_PORT'] ?? '4405' },
    },
    { name: 'notifications', file: 'services/notifications.ts', port: port('NOTIFICATIONS_PORT', 4404), env },
  ],
  configuration: 'gatehouse.yaml',
  port: gateway,
  env,
  tries: [
    `curl -s ${url}/status                                # open to all; what follows needs a token or a key`,
    `TOKEN=$(curl -s ${url}/api/v1/auth/register -H 'Content-Type: application/json' \\`,
    `  -d '{"email":"ada@example.com","username":"ada","password":"ancient walrus paints 9 fences"}' | grep -o '"accessToken":"[^"]*"' | cut -d'"' -f4)`,
    `curl -s ${url}/api/v1/commits/track ${json} -d '{"commit_hash":"3f786850e387550fdab836ed7e6dc881de23001b",${commit}}'`,
    `curl -s ${url}/api/v1/commits/track ${json} -d '{"commit_hash":"abc123",${commit}}' || true      # the document's error`,
    `curl -s ${url}/api/v1/analytics/patterns ${json}`,
    `curl -s ${url}/api/v1/notifications/send ${json} -d '{"title":"Tea at four"}'`,
    `curl -s ${url}/api/v1/dashboard ${json}              # one response from three services`,
    `TOKEN=$TOKEN GATEWAY=${url} npx node track-repository.ts ../.. 500    # the history of this repository`,
  ],
} satisfies Example;
