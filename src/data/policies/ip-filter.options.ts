/** The key `ipFilter` of the gateway, a service or a route; all levels hold together. */
import * as z from 'zod';
import { cidr } from '../../base/zod-units.ts';
import { definePolicyOptions, type OptionContext } from '../contract/options.ts';
import { blockProblem } from '../limiter/block-set.ts';
import type { IpFilterSettings } from './ip-filter.ts';

const blocks = z.array(cidr()).max(100_000);
const file = z.string().min(1);

export const ipFilterOptions = definePolicyOptions({
  key: 'ipFilter',
  schema: z
    .strictObject({
      allow: blocks.optional().describe('Only these blocks or addresses may come: `[10.0.0.0/8, "2001:db8::/32"]`.'),
      deny: blocks.optional().describe('These may not come, also if `allow` lists them.'),
      allowFile: file
        .optional()
        .describe(
          'File with more of `allow`, one block or address a line; `#` begins a comment. Read again when it changes.',
        ),
      denyFile: file.optional().describe('File with more of `deny`.'),
    })
    .describe('Who may come, by address. On the gateway for every request; services and routes can narrow it further.'),
  levels: ['gateway', 'service', 'route'],
  combine: 'all',
  policy: 'ip-filter',
  compile(options, context) {
    const allow = listOf('allow', options.allow, options.allowFile, context);
    const deny = listOf('deny', options.deny, options.denyFile, context);
    if (allow === null && deny === null) {
      context.problem('lists nothing', { expected: '`allow`, `deny`, `allowFile` or `denyFile`' });
      return [];
    }
    const phase = context.path[0] === 'gateway' ? 'arrival' : 'authenticate';
    const settings: IpFilterSettings = { allow, deny, phase };
    return [{ name: 'ip-filter', options: settings }];
  },
});

/** The secret id of both lists in one; null if neither is there. An `allow` that is there and empty lets nobody in. */
function listOf(
  name: 'allow' | 'deny',
  written: readonly string[] | undefined,
  path: string | undefined,
  context: OptionContext,
): string | null {
  if (written === undefined && path === undefined) return null;
  const lines = [...(written ?? [])];
  if (path !== undefined) {
    const text = context.readText(path, { at: [`${name}File`] });
    for (const [index, raw] of (text ?? '').split(/\r?\n/).entries()) {
      const line = raw.replace(/#.*$/, '').trim().toLowerCase();
      if (line === '') continue;
      const problem = blockProblem(line);
      if (problem === undefined) lines.push(line);
      else context.problem(`line ${index + 1} of ${path}: ${problem}`, { at: [`${name}File`] });
    }
  }
  return context.secret(name, lines.join('\n'));
}
