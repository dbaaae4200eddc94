/** `gatehouse token check|revoke` of a gateway elsewhere, by its admin API and a token of that. */
import { callAdmin, refusedCode } from './admin-call.ts';
import type { CommandContext } from './command.ts';
import { EXIT, UsageError } from './command.ts';
import { standardInput } from './identity-common.ts';

const TOKENS = '/features/identity/tokens';

export async function runTokenAfar(context: CommandContext): Promise<number> {
  const [action = '', id = ''] = context.positionals;
  if (action === 'check') {
    const token = (await standardInput()).trim();
    const answer = await callAdmin(context, 'POST', `${TOKENS}/check`, { token });
    if (answer.status !== 200) return refusedCode(context, answer);
    const found = answer.body as { readonly active: boolean };
    context.out(`${JSON.stringify(found, null, context.options['json'] === true ? 0 : 2)}\n`);
    return found.active ? EXIT.ok : EXIT.notFound;
  }
  if (action === 'revoke') {
    if (id === '') throw new UsageError('token revoke: which jti?');
    const answer = await callAdmin(context, 'DELETE', `${TOKENS}/${encodeURIComponent(id)}`);
    return answer.status === 200 ? EXIT.ok : refusedCode(context, answer);
  }
  throw new UsageError(
    'with --server there are token check and token revoke: tokens are minted, and keys rotated, on the gateway’s machine',
  );
}
