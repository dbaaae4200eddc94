/**
 * `gatehouse limits`: the API of usage, plans and bans as a process of its own, for deployments that scale it apart.
 */
import { type Command, EXIT, UsageError } from './command.ts';
import { configFile, loadAndCompile, problemLines } from './config-file.ts';
import { untilEnded } from './until-ended.ts';

export const limits: Command = {
  name: 'limits',
  summary: 'run the API of usage, plans and bans by itself',
  usage: ['[--listen HOST:PORT] [--from LIST] [--config FILE]'],
  description: `Runs until SIGTERM or SIGINT. Several may run on one PostgreSQL (DATABASE_URL) and one Redis (REDIS_URL), the same as the gateways'. A gateway reaches it as a service: a route to /api/v1/usage and /api/v1/bans that keeps the path. It believes what gateways say of callers, so it answers this machine only, or those of --from.

Exit codes: 0 done, 1 the configuration is wrong, 2 wrong usage, 5 it cannot start.`,
  options: {
    listen: { type: 'string', value: 'HOST:PORT', meaning: 'where to listen; default 127.0.0.1:8082' },
    from: {
      type: 'string',
      value: 'LIST',
      meaning: 'CIDR blocks of the gateways, with commas between; needed unless HOST is loopback',
    },
    json: { type: 'boolean', meaning: 'print JSON, for programs' },
  },
  arguments: { min: 0, max: 0 },
  isService: true,
  async run(context) {
    const { listen = '127.0.0.1:8082', from = '', json } = context.options;
    const where = addressOf(String(listen));
    const blocks = await blocksOf(String(from));
    if (blocks.length === 0 && !/^(127\.|::1$|localhost$)/.test(where.host)) {
      throw new UsageError(`--from is needed with ${where.host}: it believes what those who connect say of callers`);
    }
    const loaded = await loadAndCompile(configFile(undefined, context), context);
    if (!loaded.ok) {
      context.err(problemLines(loaded.problems));
      return EXIT.configuration;
    }
    const [{ createLimitsProcess, LOOPBACK }, { createLogger }] = await Promise.all([
      import('../control/limits/process.ts'),
      import('../base/log.ts'),
    ]);
    const log = createLogger('info', (line) => context.err(`${line}\n`));
    // Signals count from here on: one that comes while it starts must not be lost.
    const ended = untilEnded(context, log);
    let running: Awaited<ReturnType<typeof createLimitsProcess>> | undefined;
    try {
      running = await createLimitsProcess(loaded.compiled, { log, from: blocks.length === 0 ? LOOPBACK : blocks });
      const { port } = await running.start(where.host, where.port);
      const shown = `http://${where.host.includes(':') ? `[${where.host}]` : where.host}:${port}`;
      context.out(json === true ? `${JSON.stringify({ listening: shown })}\n` : `limits service on ${shown}\n`);
    } catch (error) {
      context.err(`gatehouse: ${error instanceof Error ? error.message : String(error)}\n`);
      await running?.close();
      return EXIT.failed;
    }
    const code = await ended;
    await running.close();
    return code;
  },
};

function addressOf(text: string): { host: string; port: number } {
  const match = /^(\[[0-9a-f:]+\]|[^:]+):(\d{1,5})$/i.exec(text);
  const port = Number(match?.[2]);
  if (match === null || port > 65_535) throw new UsageError(`--listen must read HOST:PORT, not "${text}"`);
  return { host: (match[1] ?? '').replace(/^\[|\]$/g, ''), port };
}

async function blocksOf(text: string): Promise<string[]> {
  const { cidr } = await import('../base/zod-units.ts');
  const words = text.split(/[\s,]+/).filter((word) => word !== '');
  return words.map((word) => {
    const read = cidr().safeParse(word);
    if (!read.success) throw new UsageError(`--from takes addresses and CIDR blocks, not "${word}"`);
    return read.data;
  });
}
