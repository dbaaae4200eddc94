/**
 * The list of instances in a file: YAML or JSON, a list or `{ instances: [...] }`, entries as in a service's
 * `instances` (a URL, or an object). All of it is right or none of it is taken; a problem names the entry and the
 * field.
 */
import { parseDocument } from 'yaml';
import * as z from 'zod';
import type { InstanceInput } from './instance.ts';
import {
  instanceAt,
  MAX_METADATA,
  MAX_METADATA_KEY,
  MAX_METADATA_VALUE,
  MAX_WEIGHT,
  readInstanceUrl,
} from './instance.ts';

/** Most entries of one list. */
export const MAX_LISTED = 1_024;

const instanceUrl = z.string().transform((text, context) => {
  const read = readInstanceUrl(text);
  if ('url' in read) return read.url;
  context.issues.push({ code: 'custom', input: text, message: `expected ${read.expected}` });
  return z.NEVER;
});

const instanceMetadata = z
  .record(z.string().min(1).max(MAX_METADATA_KEY), z.string().max(MAX_METADATA_VALUE))
  .refine((metadata) => Object.keys(metadata).length <= MAX_METADATA, `must have at most ${MAX_METADATA} keys`);

const entry = z.strictObject({
  url: instanceUrl,
  weight: z.number().min(0).max(MAX_WEIGHT).prefault(1),
  zone: z.string().min(1).max(64).nullish(),
  healthy: z.boolean().prefault(true),
  metadata: instanceMetadata.prefault({}),
  priority: z.int().min(0).max(65_535).prefault(0),
});

const list = z.array(z.union([instanceUrl.transform((url) => entry.parse({ url })), entry])).max(MAX_LISTED);
const document = z.union([list, z.strictObject({ instances: list })]);

export type ListResult = { readonly instances: readonly InstanceInput[] } | { readonly problem: string };

export function readInstanceList(text: string): ListResult {
  const yaml = parseDocument(text, { prettyErrors: true });
  const [error] = yaml.errors;
  if (error !== undefined) return { problem: error.message.split('\n')[0] ?? 'not valid YAML' };
  let value: unknown;
  try {
    // Aliases that multiply a small file into a huge document are refused here.
    value = yaml.toJS({ maxAliasCount: 100 });
  } catch (refused) {
    return { problem: refused instanceof Error ? refused.message : String(refused) };
  }
  const result = document.safeParse(value);
  if (!result.success) return { problem: firstProblem(result.error) };
  const entries = Array.isArray(result.data) ? result.data : result.data.instances;
  const seen = new Set<string>();
  for (const [index, { url }] of entries.entries()) {
    if (seen.has(url)) return { problem: `entry ${index}: ${url} is listed twice` };
    seen.add(url);
  }
  return { instances: entries.map(({ url, ...more }) => instanceAt(url, { ...more, zone: more.zone ?? null })) };
}

/** The deepest complaint: of the alternatives of a union, the one that got furthest is the one that was meant. */
function firstProblem(error: z.ZodError): string {
  let path: PropertyKey[] = [];
  let issues = error.issues;
  for (;;) {
    const issue = issues[0];
    if (issue === undefined) return 'not a list of instances';
    path = [...path, ...issue.path];
    if (issue.code !== 'invalid_union') {
      const where = path.filter((part) => part !== 'instances');
      const [index, ...rest] = where;
      if (index === undefined) return `must be a list of instances: ${issue.message}`;
      return `entry ${String(index)}${rest.length > 0 ? `, ${rest.map(String).join('.')}` : ''}: ${issue.message}`;
    }
    issues = [...issue.errors].sort((a, b) => depthOf(b) - depthOf(a))[0] ?? [];
  }
}

function depthOf(issues: readonly z.core.$ZodIssue[]): number {
  const issue = issues[0];
  if (issue === undefined) return 0;
  const below = issue.code === 'invalid_union' ? Math.max(0, ...issue.errors.map(depthOf)) : 0;
  // An object whose fields are wrong is a better guess than "not a string".
  return issue.path.length + below + (issue.code === 'invalid_type' && issue.path.length === 0 ? -1 : 0);
}
