/** `gatehouse status`: what a running gateway says of itself. */
import type { GatewayStatus } from '../control/ops/sources.ts';
import type { Command } from './command.ts';
import { EXIT, JSON_OPTION } from './command.ts';
import { callGateway, findSocket, SOCKET_OPTION } from './control-socket.ts';
import { statusText } from './status-text.ts';

export const status: Command = {
  name: 'status',
  summary: 'show what a running gateway does',
  usage: ['[FILE] [--socket PATH] [--json]'],
  description: `Shows version, listeners, workers, traffic, and of each service its breaker, its instances and why one gets no traffic, and where they come from. FILE tells which gateway is meant, by the data folder that it names.

Exit codes: 0 it answered, 3 no gateway answers.`,
  options: { socket: SOCKET_OPTION, json: JSON_OPTION },
  arguments: { min: 0, max: 1 },
  async run(context) {
    const socket = await findSocket(context.positionals[0], context);
    const { body } = await callGateway(socket, 'GET', '/status');
    context.out(
      context.options['json'] === true
        ? `${JSON.stringify(body, null, 2)}\n`
        : statusText(body as GatewayStatus, Date.now()),
    );
    return EXIT.ok;
  },
};
