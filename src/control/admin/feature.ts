/**
 * The admin API and the console as a feature: always on the control socket, and where the key `admin` says so on a
 * listener of its own and behind the gateway's `auth` (`builtin:admin`). Loads the application when it is first needed:
 * a gateway that nobody administers over HTTP pays nothing. The listener also answers health, status and metrics.
 */
import type { RequestListener, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { messageOf } from '../../base/errors.ts';
import type { ExtraMetric } from '../../base/extra-metric.ts';
import { onDemand } from '../../base/on-demand.ts';
import type { Redaction } from '../../base/redaction.ts';
import type { Compiled } from '../config/compile.ts';
import type { Feature, OperatorHost } from '../feature.ts';
import type { FeatureStatus } from '../feature-status.ts';
import { fetchListener } from '../local-server.ts';
import { createOpsApp } from '../ops/ops-app.ts';
import { OVERRIDE_KINDS } from '../overrides.ts';
import { redactionOf } from '../redaction.ts';
import { listenOnPort } from '../shared-port.ts';
import type { AdminParts } from './app.ts';
import type { AdminPlan } from './section.ts';

/** Where operations endpoints are on the listener, whatever `gateway.endpoints` says. */
const ENDPOINTS = {
  health: '/health',
  live: '/health/live',
  ready: '/health/ready',
  detailed: '/health/detailed',
  status: '/status',
  metrics: '/metrics',
  prometheus: '/metrics/prometheus',
};

export class AdminFeature implements Feature {
  readonly #host: OperatorHost;
  #plan: AdminPlan;
  #redaction: Redaction;
  #parts: Promise<AdminParts> | undefined;
  #server: Server | undefined;
  #listens = '';
  #url: string | null = null;
  #isBuiltin = false;

  constructor(host: OperatorHost) {
    this.#host = host;
    const { plan } = host.compiled;
    this.#plan = plan.sections.admin;
    this.#redaction = redactionOf(plan);
  }

  start(compiled: Compiled): Promise<void> {
    return this.prepare(compiled);
  }

  /** Rejects when the address cannot be had. */
  async prepare({ plan, snapshot }: Compiled): Promise<void> {
    const next = plan.sections.admin;
    await this.#listen(next);
    const isRouted = snapshot.routes.some(
      ({ action }) => action.kind === 'service' && action.targets.some(({ service }) => service === 'builtin:admin'),
    );
    if (isRouted && !this.#isBuiltin) {
      const parts = await this.#load();
      const { createAdminApp } = await import('./app.ts');
      // With the prefix of routes of the document's own, a rewrite takes it away; ours come with it.
      const withPrefix = new Map<string, ReturnType<typeof createAdminApp>>();
      await this.#host.serveBuiltin('builtin:admin', (request) => {
        const { path } = this.#plan;
        const prefix = path !== null && new URL(request.url).pathname.startsWith(path) ? path : '';
        const app = withPrefix.get(prefix) ?? createAdminApp(parts, parts.access.byGateway, prefix);
        withPrefix.set(prefix, app);
        return app(request);
      });
      this.#isBuiltin = true;
    }
  }

  /** From now on its successor has the port alone. */
  replaced(): Promise<void> {
    return this.#close();
  }

  applied({ plan }: Compiled): void {
    this.#plan = plan.sections.admin;
    this.#redaction = redactionOf(plan);
  }

  metrics(): readonly ExtraMetric[] {
    const all = this.#host.overrides.list();
    const samples = OVERRIDE_KINDS.map((kind) => ({
      labels: { kind },
      value: all.filter((each) => each.kind === kind).length,
    }));
    const help = 'What operators changed by hand beside the configuration, such as drained or added instances';
    return [{ name: 'gatehouse_overrides', type: 'gauge', help, samples }];
  }

  status(): FeatureStatus {
    return { sections: { admin: { url: this.#url, path: this.#plan.path } } };
  }

  /** For whoever may open the control socket: administrator. */
  async controlListener(): Promise<RequestListener> {
    const parts = await this.#load();
    const { createAdminApp } = await import('./app.ts');
    const name = this.#host.localUser;
    return fetchListener(createAdminApp(parts, () => ({ name, role: 'admin' }), '/admin'));
  }

  async stop(): Promise<void> {
    await this.#close();
    (await this.#parts)?.recorder.close();
  }

  #load(): Promise<AdminParts> {
    this.#parts ??= (async () => {
      const [{ Access }, { LimitDesk }, { Recorder }, { TailHub }, { TriedStepsDesk }] = await Promise.all([
        import('./access.ts'),
        import('./limit-desk.ts'),
        import('./recorder.ts'),
        import('./tail.ts'),
        import('./tried-steps.ts'),
      ]);
      return {
        host: this.#host,
        plan: () => this.#plan,
        access: new Access(
          () => this.#plan,
          async (sessionId) => (await this.#host.accounts()?.rolesOf(sessionId)) ?? null,
        ),
        recorder: new Recorder(this.#host),
        tail: new TailHub(
          this.#host.bus,
          () => this.#host.workers.status().length,
          () => this.#redaction,
        ),
        steps: new TriedStepsDesk(this.#host.bus, () => this.#host.workerThreads().length),
        limits: new LimitDesk(this.#host.bus),
        consoleUrl: () => this.#url,
      };
    })();
    return this.#parts;
  }

  async #listen({ listen }: AdminPlan): Promise<void> {
    const wanted = listen === null ? '' : `${listen.host} ${listen.port}`;
    if (wanted === this.#listens) return;
    const next = listen === null ? undefined : await this.#open(listen);
    await this.#close();
    this.#server = next;
    this.#listens = wanted;
    if (next === undefined || listen === null) return;
    const { port } = next.address() as AddressInfo;
    const host = hostInUrl(listen.host);
    this.#url = `http://${host}:${port}`;
    this.#host.log.info('the admin API listens', { url: this.#url });
  }

  async #open({ host, port }: NonNullable<AdminPlan['listen']>): Promise<Server> {
    const parts = await this.#load();
    const { createAdminApp } = await import('./app.ts');
    const admin = fetchListener(createAdminApp(parts, parts.access.byCredentials, ''));
    const ops = createOpsApp(ENDPOINTS, () => this.#host.opsSources());
    const paths = new Set(Object.values(ENDPOINTS));
    const server = onDemand.http.createServer((request, response) => {
      const path = (request.url ?? '').split('?', 1)[0] ?? '';
      return paths.has(path) ? ops(request, response) : admin(request, response);
    });
    await listenOnPort(server, { host, port }, this.#host.isTakingOver).catch((error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? 'another process is listening there' : messageOf(error);
      throw new Error(`admin.listen: ${host}:${port} cannot be had: ${why}`);
    });
    return server;
  }

  async #close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    this.#url = null;
    if (server === undefined) return;
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
}

/** Of a listener on all addresses, the one by which this machine reaches it. */
function hostInUrl(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  return host.includes(':') ? `[${host === '::' ? '::1' : host}]` : host;
}
