import type { IncomingMessage, ServerResponse } from 'node:http';
import type { IdentityContext } from '../context.ts';
export async function createProvider(
  _context: IdentityContext,
): Promise<{ handles(url: string): boolean; handle(request: IncomingMessage, response: ServerResponse): void }> {
  throw new Error('identity.oauth.enabled is not possible in this build');
}
