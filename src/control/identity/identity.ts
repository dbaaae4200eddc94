/**
 * The identity service, put together: opens its store, migrates it, makes keys, runs its small loops, and serves an
 * HTTP application on a socket or through `fetch`. Part of the gateway's process as `builtin:identity`, or a process
 * of its own (`gatehouse identity`). Publishes key set and revocations to the workers and answers their questions. The
 * application, whose schemas take 10 MB, is loaded with the first request.
 */
import type { RequestListener, Server } from 'node:http';
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { systemClock } from '../../base/clock.ts';
import { CidrSet } from '../../base/ip.ts';
import { createLogger, type Logger } from '../../base/log.ts';
import { onDemand } from '../../base/on-demand.ts';
import { once } from '../../base/once.ts';
import { standardError } from '../../base/process-output.ts';
import type { ControlBus } from '../bus.ts';
import { listenerOnDemand } from '../local-server.ts';
import { masterKeyFile, masterKeyOf } from '../secrets/master-key.ts';
import type { TellSecurity } from '../security-journal.ts';
import { migrate } from '../store/migrate.ts';
import { openStore, type Store } from '../store/store.ts';
import { AddressBudget } from './accounts/address-budget.ts';
import { OneTimeCodes } from './accounts/codes.ts';
import { firstAdminLink } from './accounts/first-admin.ts';
import { LoginGuard } from './accounts/guard.ts';
import { environmentKeys } from './api-keys/environment-keys.ts';
import { ApiKeyVerifier } from './api-keys/verify.ts';
import { type AuditEntry, AuditLog } from './audit/chain.ts';
import { Background } from './background.ts';
import { connectWorkers } from './bus-topics.ts';
import { checkMasterKey } from './check-master-key.ts';
import { startCleanup } from './cleanup.ts';
import type { IdentityContext } from './context.ts';
import { type Environment, withEnvironment } from './environment.ts';
import { openGeoIp } from './geoip/geoip.ts';
import { callerOfMessage } from './http/caller.ts';
import { closeServer, listenOn, type Where } from './http/listen.ts';
import { makeMailer } from './mail/mailer.ts';
import { Mails } from './mail/mails.ts';
import { Outbox } from './mail/outbox.ts';
import { IDENTITY_MIGRATIONS } from './migrations.ts';
import type { IdentityInput, IdentitySection } from './options.ts';
import { makePages } from './pages/layout.ts';
import { PasswordHasher } from './password-hashing/hasher.ts';
import type { IdentityTables } from './tables.ts';
import { AccessTokens } from './tokens/access-token.ts';
import { Revocations } from './tokens/revocations.ts';
import { SigningKeys } from './tokens/signing-keys.ts';

/** Options of a configuration that has been checked: their schema need not be loaded again. */
export interface CheckedOptions {
  readonly checked: IdentitySection;
}

export interface IdentityDeps {
  /** Folder for the SQLite file, the master key and mails that no server takes. */
  readonly dataDir: string;
  readonly environment?: Environment;
  /** An open store to share; otherwise one is opened by URL and closed with the service. */
  readonly store?: Store<IdentityTables>;
  /** URL used when neither `store` nor the options nor DATABASE_URL name one. Default SQLite in `dataDir`. */
  readonly storeUrl?: string;
  /** Where the service can be reached from this machine; stands for `publicUrl` where that is not set. */
  readonly localUrl?: string;
  /** The line to the workers, when there are any. */
  readonly bus?: ControlBus;
  /** Hears security events: entries of the audit log, and credentials that no longer hold. */
  readonly tellSecurity?: TellSecurity;
  /** CIDR blocks of proxies whose `X-Forwarded-For` is believed: the gateway's `trustProxy`. */
  readonly trustProxy?: readonly string[];
  readonly clock?: Clock;
  readonly log?: Logger;
  /** Where the first administrator's link is printed. Default: standard error. It is a secret: not the log. */
  readonly print?: (text: string) => void;
}

export interface Identity {
  readonly app: { fetch(request: Request): Response | Promise<Response> };
  readonly context: IdentityContext;
  /**
   * Listens on a Unix socket (a path) or on `host:port`; with port 0 the answer tells the port. `replaces`: the process
   * that has the socket is being replaced.
   */
  start(where: Where, options?: { readonly replaces?: boolean }): Promise<{ port: number }>;
  /** Stops listening, finishes what runs, writes what waits, closes the store. */
  close(): Promise<void>;
}

/** Throws when an option cannot be honoured, the database is newer, or the master key does not belong to it. */
export async function createIdentity(input: IdentityInput | CheckedOptions, deps: IdentityDeps): Promise<Identity> {
  const { context, release } = await openContext(input, deps);
  const keys = new ApiKeyVerifier(context);
  const loops: (() => Promise<void> | void)[] = [];
  const stop = async (): Promise<void> => {
    for (const end of loops) await end();
    await keys.stop();
    await context.background.settled();
    await context.outbox.stop();
    await context.revocations.stop();
    await release();
  };
  try {
    return await assemble(context, keys, loops, stop, deps);
  } catch (error) {
    await stop();
    throw error;
  }
}

async function assemble(
  context: IdentityContext,
  keys: ApiKeyVerifier,
  loops: (() => Promise<void> | void)[],
  stop: () => Promise<void>,
  deps: IdentityDeps,
): Promise<Identity> {
  await context.signingKeys.refresh();
  await context.revocations.announce();
  context.revocations.start();
  context.outbox.start();
  keys.start();
  loops.push(startCleanup(context));
  if (deps.bus !== undefined) loops.push(connectWorkers(context, keys, deps.bus));
  if (context.options.firstAdmin === 'link') {
    const link = await firstAdminLink(context);
    const print = deps.print ?? ((text: string) => standardError.write(`${text}\n`));
    if (link !== undefined) print(`There is no administrator yet. Make one within a day, once, at:\n  ${link}`);
  }
  const appOnDemand = once(async () => {
    const { createApp } = await import('./app.ts');
    return createApp(context, keys, deps.trustProxy ?? []);
  });
  const provider = context.options.oauth.enabled
    ? await (await import('./oauth/provider.ts')).createProvider(context)
    : undefined;
  const trusted = new CidrSet(deps.trustProxy ?? []);
  const listener = listenerOnDemand(async () => {
    const [{ getRequestListener }, app] = await Promise.all([import('@hono/node-server'), appOnDemand()]);
    return getRequestListener(app.fetch, { overrideGlobalObjects: false }) as RequestListener;
  });
  let server: Server | undefined;
  let removeFile = (): void => {};
  return {
    app: { fetch: async (request) => (await appOnDemand()).fetch(request) },
    context,
    async start(where, { replaces = false } = {}) {
      server = onDemand.http.createServer(
        { requestTimeout: 60_000, headersTimeout: 20_000, keepAliveTimeout: typeof where === 'string' ? 0 : 75_000 },
        (request, response) => {
          if (provider?.handles(request.url ?? '') === true) {
            provider.handle(request, response, callerOfMessage(request, trusted, context.options.place.header));
          } else listener(request, response);
        },
      );
      const listening = await listenOn(server, where, replaces);
      removeFile = listening.removeFile;
      return { port: listening.port };
    },
    async close() {
      removeFile();
      if (server !== undefined) await closeServer(server);
      await stop();
    },
  };
}

/** The parts without a server and without loops: what the command line works with. */
export async function openContext(
  input: IdentityInput | CheckedOptions,
  deps: IdentityDeps,
): Promise<{ context: IdentityContext; release: () => Promise<void> }> {
  const environment = deps.environment ?? {};
  const section = 'checked' in input ? input.checked : (await import('./options.ts')).identityOptions.parse(input);
  const options = withEnvironment(section, environment, deps.localUrl);
  const clock = deps.clock ?? systemClock;
  const tellSecurity = deps.tellSecurity ?? ((): void => {});
  const log = (deps.log ?? createLogger('info')).child({ area: 'identity' });
  const url = options.store ?? deps.storeUrl ?? `sqlite:${join(deps.dataDir, 'identity.db')}`;
  const keysOfEnvironment = environmentKeys(environment);
  const store = deps.store ?? (await openStore<IdentityTables>(url, { log }));
  const release = async (): Promise<void> => {
    if (deps.store === undefined) await store.close();
  };
  try {
    await migrate(store, 'identity', IDENTITY_MIGRATIONS, () => clock.wallMs());
    const master =
      options.masterKey === undefined
        ? masterKeyFile(join(deps.dataDir, 'identity.key'))
        : masterKeyOf(options.masterKey);
    await checkMasterKey(store, master);
    const signingKeys = new SigningKeys(store, options, master, clock);
    const mailer = await makeMailer(options.mail, options.mail.mailbox ?? join(deps.dataDir, 'mailbox'), log);
    const outbox = new Outbox(store, master, mailer, clock, log);
    const context: IdentityContext = {
      options,
      store,
      clock,
      log,
      master,
      audit: new AuditLog(store, master.derive('audit-log'), clock, (entry) => {
        // What operators do, the process tells itself.
        if (!entry.action.startsWith('admin.')) tellSecurity(entry.action, securityFields(entry));
      }),
      tellSecurity,
      hasher: new PasswordHasher(options.passwords),
      guard: new LoginGuard(options.lockout, clock),
      budget: new AddressBudget(options.addressLimits, clock),
      background: new Background(log),
      codes: new OneTimeCodes(master, clock),
      signingKeys,
      tokens: new AccessTokens(options, signingKeys, clock),
      revocations: new Revocations(store, clock, log),
      outbox,
      mails: new Mails(options, outbox),
      pages: makePages(options.pages, options.publicUrl.startsWith('https:')),
      geoip: await openGeoIp(options.place),
      environmentKeys: keysOfEnvironment,
    };
    return { context, release };
  } catch (error) {
    await release();
    throw error;
  }
}

function securityFields({ actor, target, address, requestId, detail }: AuditEntry) {
  return { actor, target, address, request_id: requestId, ...detail };
}
