/** `gatehouse reload`: a running gateway reads its configuration anew. */
import { isMapping } from '../control/config/source.ts';
import type { Command } from './command.ts';
import { EXIT, JSON_OPTION } from './command.ts';
import { callGateway, findSocket, SOCKET_OPTION } from './control-socket.ts';

export const reload: Command = {
  name: 'reload',
  summary: 'make a running gateway read its configuration anew',
  usage: ['[FILE] [--socket PATH] [--json]'],
  description: `The gateway compiles the configuration beside the one that runs and changes over when it is right; connections stay. A bad one changes nothing, and what is wrong with it is printed. FILE tells which gateway is meant, by the data folder that it names; the gateway reads the file that it was started with.

Exit codes: 0 reloaded, 1 the configuration is wrong, 3 no gateway answers.`,
  options: { socket: SOCKET_OPTION, json: JSON_OPTION },
  arguments: { min: 0, max: 1 },
  async run(context) {
    const socket = await findSocket(context.positionals[0], context);
    const { status, body } = await callGateway(socket, 'POST', '/reload');
    const result = isMapping(body) ? body : {};
    const isReloaded = status === 200;
    if (context.options['json'] === true) context.out(`${JSON.stringify(body, null, 2)}\n`);
    else {
      const problems = Array.isArray(result['problems']) ? result['problems'] : [];
      for (const problem of problems) context.err(`${String(problem)}\n`);
      if (isReloaded) context.out(`reloaded: version ${String(result['version'])} is in use\n`);
      else context.err(`not reloaded: version ${String(result['version'])} stays in use\n`);
    }
    return isReloaded ? EXIT.ok : EXIT.configuration;
  },
};
