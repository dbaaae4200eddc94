/**
 * The configuration of the example: config/gateway-config.json as it stands, and what a gateway needs beyond it:
 * routes, accounts, names, security. `gatehouse reload` reads both files again.
 *
 * Variables of its own (those of Gatehouse, such as PORT and JWT_SECRET, work beside them):
 * GATEWAY_CONFIG, another JSON file. SERVICE_ADDRESSES, `host=address:port ...` for host names of the JSON file that no
 * DNS knows. DATA_DIR. PUBLIC_URL. CORS_ORIGINS, separated by commas. DEMO_ACCOUNT, `true` permits the weak password
 * of the demonstration account. GATEHOUSE_REGISTRY_TOKEN, with which services may register themselves.
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
// In a project of your own: import { defineConfig } from 'gatehouse';
import type { GatehouseConfig } from '../../src/index.ts';

type Services = NonNullable<GatehouseConfig['services']>;
type Route = NonNullable<GatehouseConfig['routes']>[number];

const { env } = process;

/** `/api/v1/projects` and so on; a service that is not here is found under its own name. */
const PATHS: Readonly<Record<string, string>> = {
  'project-manager': 'projects',
  'ai-planner': 'ai',
  'workflow-orchestrator': 'workflows',
  'smart-notifications': 'notifications',
  'analytics-dashboard': 'analytics',
};

const file =
  env['GATEWAY_CONFIG'] === undefined || env['GATEWAY_CONFIG'] === ''
    ? new URL('config/gateway-config.json', import.meta.url)
    : resolve(env['GATEWAY_CONFIG']);
const document = JSON.parse(readFileSync(file, 'utf8')) as Pick<GatehouseConfig, 'gateway' | 'services'>;

const addresses = new Map(
  (env['SERVICE_ADDRESSES'] ?? '').split(/\s+/).flatMap((pair) => {
    const [name, address] = pair.split('=');
    return name && address ? [[name, address] as const] : [];
  }),
);

/** The same URL at the address that is known for its host. */
function located(url: string): string {
  const parsed = new URL(url);
  const address = addresses.get(parsed.hostname);
  if (address === undefined) return url;
  parsed.host = address;
  return parsed.href.replace(/\/$/, '');
}

function services(): Services {
  const registryToken = env['GATEHOUSE_REGISTRY_TOKEN'] ?? '';
  return Object.fromEntries(
    Object.entries(document.services ?? {}).map(([name, service]) => [
      name,
      {
        ...service,
        instances: (service.instances ?? []).map((instance) =>
          typeof instance === 'string' ? located(instance) : { ...instance, url: located(instance.url) },
        ),
        // The document's JSON has no place for the file of a custom algorithm.
        ...(name === 'analytics-dashboard' && {
          loadBalancing: {
            algorithm: 'custom',
            healthCheckInterval: 2_000,
            file: './balancer.ts',
            options: { parameter: 'bucket', key: 'tier', value: 'large' },
          },
        }),
        ...(registryToken !== '' && { discovery: { registry: { allow: ['127.0.0.0/8'] } } }),
      },
    ]),
  );
}

/** What the document writes as `app.use('/api/v1/x', authenticateToken, createServiceProxy(service, '/api/x'))`. */
function routeTo(service: string): Route {
  const path = PATHS[service] ?? service;
  return {
    name: path,
    match: { path: `/api/v1/${path}/*` },
    service,
    auth: {},
    rewrite: { stripPrefix: '/api/v1', addPrefix: '/api' },
  };
}

const port = env['GATEWAY_PORT'] || env['PORT'] || String(document.gateway?.port ?? 3000);

const config: GatehouseConfig = {
  gateway: {
    // Only this machine, until HOST says otherwise: the example's account has a password that is printed in a document.
    host: '127.0.0.1',
    ...document.gateway,
    name: 'api-gateway-enhanced',
    version: '2.9.0',
    dataDir: env['DATA_DIR'] || './data',
    metricsFormat: 'json',
    // Who may see health in detail, status and metrics; by default this machine alone.
    ...(env['OPERATORS'] && { operations: { from: env['OPERATORS'].split(',') } }),
    securityHeaders: { contentSecurityPolicy: "default-src 'none'; frame-ancestors 'none'" },
    cors: { origins: (env['CORS_ORIGINS'] || 'http://localhost:8080').split(',') },
  },
  services: services(),
  routes: Object.keys(document.services ?? {}).map(routeTo),
  identity: {
    enabled: true,
    basePath: '/api/v1/auth',
    publicUrl: env['PUBLIC_URL'] || `http://127.0.0.1:${/^[1-9]\d*$/.test(port) ? port : '3000'}`,
    registration: { open: false },
    // `admin123` is short, on the list of common passwords and made of the name `admin`.
    ...(env['DEMO_ACCOUNT'] === 'true' && { passwords: { minLength: 8, refuseCommon: false, refuseNames: false } }),
  },
  ...((env['GATEHOUSE_REGISTRY_TOKEN'] ?? '') !== '' && {
    registry: { token: env['GATEHOUSE_REGISTRY_TOKEN'] ?? '' },
  }),
};

export default config;
