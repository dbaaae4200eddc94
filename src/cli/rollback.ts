/** `gatehouse rollback` and `gatehouse history`: configurations that were live, and going back to one of them. */
import type { Revision } from '../control/config/history.ts';
import { isMapping } from '../control/config/source.ts';
import type { Command } from './command.ts';
import { EXIT, JSON_OPTION, UsageError } from './command.ts';
import { callGateway, findSocket, SOCKET_OPTION } from './control-socket.ts';
import { printProblems, restartCode } from './reload.ts';
import { table } from './table.ts';

export const rollback: Command = {
  name: 'rollback',
  summary: 'go back to a configuration that was live before',
  usage: ['[REVISION] [--write] [--reason TEXT] [--socket PATH] [--json]'],
  description: `Makes an earlier revision live again, by default the one before the live one; "gatehouse history" lists them. No request is lost. The configuration file stays as it is, so a reload, or its next change, ends the rollback; with --write the file gets the earlier text too.

Exit codes: 0 done, 1 the revision is wrong by now, 3 no gateway answers, 4 there is no such revision, 5 the file cannot be written, 6 done, but some settings take effect at the next start only.`,
  options: {
    write: { type: 'boolean', meaning: 'write the earlier text into the configuration file too' },
    reason: { type: 'string', value: 'TEXT', meaning: 'why, for the history and the log' },
    socket: SOCKET_OPTION,
    json: JSON_OPTION,
  },
  arguments: { min: 0, max: 1 },
  async run(context) {
    const [revision] = context.positionals;
    if (revision !== undefined && !/^[1-9]\d{0,8}$/.test(revision))
      throw new UsageError(`REVISION is a number of "gatehouse history", not "${revision}"`);
    const { reason, write } = context.options;
    const query = new URLSearchParams({
      ...(revision === undefined ? {} : { revision }),
      ...(write === true ? { write: '1' } : {}),
      ...(typeof reason === 'string' ? { reason } : {}),
    });
    const socket = await findSocket(undefined, context);
    const { status, body } = await callGateway(socket, 'POST', `/rollback?${query}`);
    const result = isMapping(body) ? body : {};
    if (context.options['json'] === true) context.out(`${JSON.stringify(body, null, 2)}\n`);
    if (status === 404 || status === 409) {
      if (context.options['json'] !== true) context.err(`${String(result['message'])}\n`);
      return status === 404 ? EXIT.notFound : EXIT.failed;
    }
    const isDone = status === 200;
    if (context.options['json'] !== true) {
      printProblems(result['problems'], context);
      if (isDone) context.out(`rolled back: version ${String(result['version'])} is in use\n`);
      else context.err(`not rolled back: version ${String(result['version'])} stays in use\n`);
    }
    return isDone ? restartCode(result['restart'], context) : EXIT.configuration;
  },
};

export const history: Command = {
  name: 'history',
  summary: 'list the configurations that were live, with who, when and why',
  usage: ['[FILE] [--socket PATH] [--json]'],
  description: `Newest first; the live one is marked. The gateway keeps the last 50 (32 MB at most) in its data folder, over restarts.

Exit codes: 0 it answered, 3 no gateway answers.`,
  options: { socket: SOCKET_OPTION, json: JSON_OPTION },
  arguments: { min: 0, max: 1 },
  async run(context) {
    const socket = await findSocket(context.positionals[0], context);
    const { body } = await callGateway(socket, 'GET', '/history');
    if (context.options['json'] === true) {
      context.out(`${JSON.stringify(body, null, 2)}\n`);
      return EXIT.ok;
    }
    const { live, revisions } = body as {
      readonly live: { readonly revision: Revision | null };
      readonly revisions: readonly Revision[];
    };
    const rows = revisions.map(({ revision, at, author, reason }) => [
      live.revision?.revision === revision ? '*' : '',
      String(revision),
      at,
      author,
      reason,
    ]);
    context.out(rows.length === 0 ? 'nothing is kept yet\n' : `${table(rows)}\n`);
    return EXIT.ok;
  },
};
