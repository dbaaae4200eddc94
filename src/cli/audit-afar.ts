/** `gatehouse audit` of a gateway elsewhere, by its admin API and a token; audit-run.ts is that of this machine. */
import { callAdmin, refusedCode } from './admin-call.ts';
import { expectation } from './audit-run.ts';
import type { CommandContext } from './command.ts';
import { EXIT, UsageError } from './command.ts';
import { table } from './table.ts';

const AUDIT = '/features/identity/audit';
/** As many as one response has at most. */
const PAGE = 100;

interface Entry {
  readonly seq: number;
  readonly at: string;
  readonly action: string;
  readonly actor: string;
  readonly target: string;
  readonly address: string;
}

export async function runAuditAfar(context: CommandContext): Promise<number> {
  const [action = ''] = context.positionals;
  if (action === 'verify') return verify(context);
  if (action === 'head') return head(context);
  if (action === 'list') return list(context);
  throw new UsageError(`audit: there is no "${action}"`);
}

async function verify(context: CommandContext): Promise<number> {
  const { expect } = context.options;
  const wanted = typeof expect === 'string' ? expect : undefined;
  expectation(wanted);
  const query = wanted === undefined ? '' : `?${new URLSearchParams({ expect: wanted })}`;
  const answer = await callAdmin(context, 'GET', `${AUDIT}/verify${query}`);
  if (answer.status !== 200) return refusedCode(context, answer);
  type Verdict = { readonly entries: number; readonly broken: { readonly seq: number; readonly why: string } | null };
  const { broken, entries } = answer.body as Verdict;
  const words =
    broken === null ? `${entries} entries, the chain is whole` : `broken at entry ${broken.seq}: ${broken.why}`;
  context.out(`${context.options['json'] === true ? answer.text : words}\n`);
  return broken === null ? EXIT.ok : EXIT.failed;
}

async function head(context: CommandContext): Promise<number> {
  const answer = await callAdmin(context, 'GET', `${AUDIT}/head`);
  if (answer.status !== 200) return refusedCode(context, answer);
  const { seq, mac } = answer.body as { readonly seq: number; readonly mac: string };
  context.out(`${context.options['json'] === true ? answer.text : `${seq}:${mac}`}\n`);
  return EXIT.ok;
}

async function list(context: CommandContext): Promise<number> {
  const { last = '50', action } = context.options;
  const wanted = Number(last);
  if (!Number.isInteger(wanted) || wanted < 1 || wanted > 10_000)
    throw new UsageError(`--last must be from 1 to 10000, not "${last}"`);
  const found: Entry[] = [];
  let before: number | null = null;
  do {
    const query = new URLSearchParams({ limit: String(Math.min(PAGE, wanted - found.length)) });
    if (typeof action === 'string') query.set('action', action);
    if (before !== null) query.set('before', String(before));
    const answer = await callAdmin(context, 'GET', `${AUDIT}?${query}`);
    if (answer.status !== 200) return refusedCode(context, answer);
    const page = answer.body as { readonly entries: readonly Entry[]; readonly next: number | null };
    found.push(...page.entries);
    before = page.next;
  } while (before !== null && found.length < wanted);
  found.reverse();
  const lines = found.map(({ seq, at, ...row }) => [String(seq), at, row.action, row.actor, row.target, row.address]);
  const text = table([['SEQ', 'TIME', 'ACTION', 'ACTOR', 'TARGET', 'ADDRESS'], ...lines]);
  const json = found.map((entry) => JSON.stringify(entry)).join('\n');
  context.out(`${context.options['json'] === true ? json : text}\n`);
  return EXIT.ok;
}
