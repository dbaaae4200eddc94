/** `gatehouse cache`: what the cache of a running gateway holds, and `gatehouse cache purge`. */
import { ADMIN_OPTIONS } from './admin-call.ts';
import { type Command, type CommandContext, EXIT, JSON_OPTION, UsageError } from './command.ts';
import { messageIn } from './error-message.ts';
import { callFeature } from './feature-call.ts';

interface Contents {
  readonly objects: number;
  readonly used_bytes: number;
  readonly total_bytes: number;
  readonly evictions: number;
  readonly requests: number;
  readonly hitShare: number;
  readonly results: Readonly<Record<string, number>>;
  readonly redis?: {
    readonly reads: Readonly<Record<string, number>>;
    readonly writes: Readonly<Record<string, number>>;
  };
  readonly largest: readonly Shown[];
  readonly most_used: readonly Shown[];
}

interface Shown {
  readonly key: string;
  readonly bytes: number;
  readonly hits: number;
  readonly ageSeconds: number;
  readonly freshSeconds: number;
}

export const cache: Command = {
  name: 'cache',
  summary: 'show what is cached, or purge it',
  usage: ['[--json]', 'purge (--url URL | --prefix URL | --tag TAG | --all)'],
  description: `Talks to a running gateway. A purge holds for all workers when the command ends, and for other gateways that share responses through Redis, or are nodes of the same cluster, within moments; what was on its way from a service at that moment is not stored either.

Exit codes: 0 done, 2 the command line is wrong, 3 no gateway answers, 5 refused.`,
  options: {
    url: { type: 'string', value: 'URL', meaning: 'purge this URL, with all its variants' },
    prefix: { type: 'string', value: 'URL', meaning: 'purge every URL that begins so' },
    tag: { type: 'string', value: 'TAG', meaning: 'purge what its service tagged so (Cache-Tag, Surrogate-Key)' },
    all: { type: 'boolean', meaning: 'purge everything' },
    ...ADMIN_OPTIONS,
    json: JSON_OPTION,
  },
  arguments: { min: 0, max: 1 },
  async run(context) {
    const [what] = context.positionals;
    if (what !== undefined && what !== 'purge') throw new UsageError(`there is "purge", not "${what}"`);
    const { url, prefix, tag, all } = context.options;
    const wanted = { url, prefix, tag, all };
    const given = Object.entries(wanted).filter(([, value]) => value !== undefined && value !== false);
    if (what === undefined) {
      if (given.length > 0) throw new UsageError('--url, --prefix, --tag and --all go with "purge"');
      return await show(context);
    }
    if (given.length !== 1) throw new UsageError('say what to purge: one of --url, --prefix, --tag and --all');
    return await purge(context, Object.fromEntries(given));
  },
};

async function show(context: CommandContext): Promise<number> {
  const { status, text } = await callFeature(context, 'cache', 'GET', '/cache');
  if (status !== 200) return refused(context, text);
  context.out(context.options['json'] === true ? `${text}\n` : contentsText(JSON.parse(text) as Contents));
  return EXIT.ok;
}

async function purge(context: CommandContext, body: Readonly<Record<string, unknown>>): Promise<number> {
  const { status, text } = await callFeature(context, 'cache', 'POST', '/cache/purge', body);
  if (status !== 200) return refused(context, text);
  const { gateways, waits_for } = JSON.parse(text) as { readonly gateways?: string; readonly waits_for?: string };
  const away = waits_for === 'cluster' ? 'the store of the cluster' : 'Redis';
  const words = gateways === 'this' ? `purged on this gateway; the others follow when ${away} is back\n` : 'purged\n';
  context.out(context.options['json'] === true ? `${text}\n` : words);
  return EXIT.ok;
}

function refused(context: CommandContext, text: string): number {
  context.err(`gatehouse: ${messageIn(text)}\n`);
  return EXIT.failed;
}

function contentsText(found: Contents): string {
  const share = (found.hitShare * 100).toFixed(1);
  const used = `${megabytes(found.used_bytes)} of ${megabytes(found.total_bytes)} MB`;
  const results = countsText(found.results);
  const lines = [
    `${found.objects} responses in ${used}, ${found.evictions} evicted`,
    `${found.requests} requests, ${share} % without the service's full response${results === '' ? '' : `: ${results}`}`,
  ];
  if (found.redis !== undefined)
    lines.push(`Redis: reads ${countsText(found.redis.reads)}; writes ${countsText(found.redis.writes) || 'none'}`);
  for (const [title, objects] of [
    ['largest', found.largest],
    ['most used', found.most_used],
  ] as const) {
    if (objects.length === 0) continue;
    lines.push('', `${title}:`);
    for (const { key, bytes, hits, ageSeconds, freshSeconds } of objects) {
      const fresh = freshSeconds >= 0 ? `fresh ${freshSeconds} s` : `stale ${-freshSeconds} s`;
      lines.push(
        `  ${String(bytes).padStart(9)} bytes ${String(hits).padStart(7)} hits  age ${ageSeconds} s, ${fresh}  ${key}`,
      );
    }
  }
  return `${lines.join('\n')}\n`;
}

function countsText(counts: Readonly<Record<string, number>>): string {
  const parts = Object.entries(counts).filter(([, count]) => count > 0);
  return parts.map(([name, count]) => `${name} ${count}`).join(', ');
}

const megabytes = (bytes: number): string => (bytes / 1024 ** 2).toFixed(1);
