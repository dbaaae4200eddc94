/** `gatehouse status`: what a running gateway says of itself. */
import type { GatewayStatus } from '../control/ops/sources.ts';
import { ADMIN_OPTIONS, callAdmin, refusedCode, serverOf } from './admin-call.ts';
import type { Command, CommandContext } from './command.ts';
import { EXIT, JSON_OPTION } from './command.ts';
import { callGateway, findSocket } from './control-socket.ts';
import { statusText } from './status-text.ts';

export const status: Command = {
  name: 'status',
  summary: 'show what a running gateway does',
  usage: ['[FILE] [--socket PATH] [--json]', '--server URL [--json]'],
  description: `Shows version, listeners, workers, traffic, and of each service its breaker, its instances and why one gets no traffic, and where they come from. FILE tells which gateway is meant, by the data folder that it names.

Exit codes: 0 it answered, 3 no gateway answers, 5 refused.`,
  options: { ...ADMIN_OPTIONS, json: JSON_OPTION },
  arguments: { min: 0, max: 1 },
  async run(context) {
    const body = await read(context);
    if (typeof body === 'number') return body;
    context.out(
      context.options['json'] === true
        ? `${JSON.stringify(body, null, 2)}\n`
        : statusText(body as GatewayStatus, Date.now()),
    );
    return EXIT.ok;
  },
};

/** What the gateway says, or the exit code of a refusal. */
async function read(context: CommandContext): Promise<unknown> {
  if (serverOf(context) === undefined)
    return (await callGateway(await findSocket(context.positionals[0], context), 'GET', '/status')).body;
  const answer = await callAdmin(context, 'GET', '/status');
  return answer.status === 200 ? answer.body : refusedCode(context, answer);
}
