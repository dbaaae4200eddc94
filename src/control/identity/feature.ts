/**
 * The identity service as a feature of the gateway's process: starts with it on its socket, joined to the workers by
 * the bus, and stops with it. Its settings are read once: a reload that changes them says that a restart is needed.
 */

import { messageOf } from '../../base/errors.ts';
import { once } from '../../base/once.ts';
import { localSocketPath } from '../config/plan.ts';
import type { Feature, FeatureHost, OperationsApi } from '../feature.ts';
import type { OperatorAccounts } from '../operator-accounts.ts';
import type { IdentityContext } from './context.ts';
import type { Identity, IdentityDeps } from './identity.ts';
import { identityMetrics } from './metrics.ts';
import type { IdentityPlan } from './section.ts';

/** What it needs of the process around it. */
export type IdentityHost = Pick<FeatureHost, 'log' | 'bus'> &
  Partial<Pick<FeatureHost, 'addresses' | 'isTakingOver' | 'security'>>;

type AuditDetail = Readonly<Record<string, string | number | boolean | null>>;

/** What it reads of a compiled configuration. */
interface CompiledIdentity {
  readonly snapshot: { readonly gateway: { readonly trustProxy: readonly string[] } };
  readonly plan: { readonly dataDir: string; readonly sections: { readonly identity?: IdentityPlan | null } };
}

export function identityFeature(host: IdentityHost): Feature {
  let identity: Identity | undefined;
  let operations: Pick<OperationsApi, 'name' | 'fetch'> | undefined;
  let accounts: OperatorAccounts | undefined;
  let runsBy = '';
  const settingsOf = (compiled: CompiledIdentity): string =>
    JSON.stringify(compiled.plan.sections.identity?.options ?? null);
  const begin = async (found: CompiledIdentity): Promise<void> => {
    const plan = found.plan.sections.identity;
    runsBy = settingsOf(found);
    if (plan == null) return;
    const deps: IdentityDeps = {
      dataDir: found.plan.dataDir,
      environment: plan.environment,
      bus: host.bus,
      trustProxy: found.snapshot.gateway.trustProxy,
      log: host.log,
      ...(host.security === undefined ? {} : { tellSecurity: host.security.tell }),
      ...localUrl(host),
      ...(plan.storeUrl === undefined ? {} : { storeUrl: plan.storeUrl }),
    };
    // Loaded only where it runs, and the applications with the first request to them.
    const [{ createIdentity }, { passkeyDomain }] = await Promise.all([
      import('./identity.ts'),
      import('./mfa/passkeys.ts'),
    ]);
    // Where it answers elsewhere, here it only tells the workers of keys and revocations, and judges API keys.
    const apart = plan.options.service !== undefined;
    const { oauth } = plan.options;
    const silent = { ...plan.options, firstAdmin: 'off' as const, oauth: { ...oauth, enabled: false } };
    const made = await createIdentity({ checked: apart ? silent : plan.options }, deps);
    try {
      const socket = localSocketPath(found.plan.dataDir, 'identity');
      if (!apart) await made.start(socket, { replaces: host.isTakingOver ?? false });
    } catch (error) {
      await made.close();
      throw error;
    }
    identity = made;
    if (apart) return;
    accounts = operatorsOf(made.context, passkeyDomain(made.context), found.snapshot.gateway.trustProxy);
    const app = once(async () => (await import('./operator-app.ts')).createOperatorApp(made.context));
    operations = { name: 'identity', fetch: async (request) => (await app())(request) };
  };
  return {
    start: (compiled) => begin(compiled as unknown as CompiledIdentity),
    // Turned on by a reload: it must listen before its routes are there.
    async prepare(next) {
      if (identity === undefined) await begin(next as unknown as CompiledIdentity);
    },
    restartKeys: (next) => (settingsOf(next as unknown as CompiledIdentity) === runsBy ? [] : ['identity']),
    operations() {
      return operations === undefined ? undefined : { ...operations, describe, look: 'operator', change: 'admin' };
    },
    accounts: () => accounts,
    async audit({ actor, action, target, detail }) {
      await identity?.context.audit.write({ actor, action, target, detail: detail as AuditDetail });
    },
    dependencies() {
      if (identity === undefined) return [];
      // Without it known tokens still pass, so the gateway stays ready.
      const { revocations, store } = identity.context;
      const problem = store.problem();
      const available = revocations.isReading && problem === null;
      return [{ name: 'identity', available, required: false, ...(problem === null ? {} : { detail: { problem } }) }];
    },
    metrics() {
      return identity === undefined ? [] : identityMetrics(identity.context);
    },
    async stop() {
      const running = identity;
      identity = undefined;
      operations = undefined;
      accounts = undefined;
      try {
        await running?.close();
      } catch (error) {
        host.log.warn('the identity service did not end cleanly', { problem: messageOf(error) });
      }
    },
  };
}

/** The first listener, as a browser on this machine reaches it. */
function localUrl(host: IdentityHost): { localUrl?: string } {
  const [first] = host.addresses?.() ?? [];
  if (first === undefined) return {};
  const any = first.host === '0.0.0.0' || first.host === '::';
  const name = any ? '127.0.0.1' : first.host.includes(':') ? `[${first.host}]` : first.host;
  return { localUrl: `${first.tls ? 'https' : 'http'}://${name}:${first.port}` };
}

/** For the document of the admin API. */
const describe = async () => (await import('./operator-description.ts')).operatorPaths();

/** Who signs in to the console is checked by code that is loaded when the first one does. */
function operatorsOf(context: IdentityContext, rpId: string, trustProxy: readonly string[]): OperatorAccounts {
  const load = once(async () => (await import('./operator-sign-in.ts')).operatorAccounts(context, trustProxy));
  return {
    rpId,
    challenge: async (...asked) => (await load()).challenge(...asked),
    signIn: async (...asked) => (await load()).signIn(...asked),
    rolesOf: async (sessionId) => (await load()).rolesOf(sessionId),
    end: async (...asked) => (await load()).end(...asked),
  };
}
