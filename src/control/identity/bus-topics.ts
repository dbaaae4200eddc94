/**
 * The identity service's end of the line to the workers. Publishes `identity:keys` (issuer, audience, key set) and
 * `identity:revoked` (sessions, tokens and keys that are void); answers `identity:api-key` and `identity:introspect`.
 */

import { messageOf } from '../../base/errors.ts';
import type { ControlBus } from '../bus.ts';
import type { ApiKeyQuestion, ApiKeyVerifier } from './api-keys/verify.ts';
import type { IdentityContext } from './context.ts';
import { introspect } from './tokens/introspect.ts';

/** Key rotation happens within this of its time, also when nobody signs in. */
const ROTATION_CHECK_MS = 60_000;

/** Returns the way out. */
export function connectWorkers(context: IdentityContext, keys: ApiKeyVerifier, bus: ControlBus): () => void {
  const publishKeys = async (): Promise<void> => {
    const { issuer, audience } = context.tokens;
    // Only inside this process: for HS256 the set holds the shared secret.
    bus.publish('identity:keys', { issuer, audience, jwks: await context.signingKeys.workerJwks() });
  };
  const warn = (error: unknown): void =>
    context.log.warn('the key set could not be published', { problem: messageOf(error) });
  context.signingKeys.onChange(() => void publishKeys().catch(warn));
  void publishKeys().catch(warn);
  context.revocations.onChange((message) => bus.publish('identity:revoked', message));
  bus.onAsk('identity:api-key', async (data) => await keys.verify(data as ApiKeyQuestion));
  bus.onAsk(
    'identity:introspect',
    async (data) => await introspect(context, String((data as { token?: unknown }).token ?? '')),
  );
  const timer = setInterval(() => void context.signingKeys.refresh().catch(warn), ROTATION_CHECK_MS).unref();
  return () => clearInterval(timer);
}
