/** Options of `transform` and what they compile to: paths, templates and expressions are read here, once. */
/// <reference path="../content/json-and-jmespath.d.ts" />
import jmespath from 'jmespath';
import * as z from 'zod';
import { messageOf } from '../../base/errors.ts';
import { duration, size } from '../../base/zod-units.ts';
import { readValue } from '../content/expression.ts';
import type { ValueTemplate } from '../contract/aggregate.ts';
import { definePolicyOptions, type KeyPath, type OptionContext } from '../contract/options.ts';
import type { ModuleSettings } from '../contract/snapshot.ts';
import {
  type BodyTransformSettings,
  type QueryChanges,
  type ReshapeSettings,
  stepsOf,
  type TransformSettings,
  type Visibility,
  visibilityOf,
} from '../contract/transform.ts';
import { compileModule, moduleFile } from './module.options.ts';

const ROOTS = ['params', 'query', 'headers', 'auth', 'request', 'body'];
const REQUEST_ROOTS = ROOTS.filter((root) => root !== 'body');

const path = () =>
  z
    .string()
    .max(500)
    .regex(/^(\/([^/~]|~[01])*)+$/, 'must be a JSON Pointer such as /items/*/price')
    .refine((text) => !text.split('/').includes('__proto__'), 'has a step that objects do not take');
const paths = (what: string) => z.array(path()).min(1).max(500).describe(what);
const memberName = () =>
  z
    .string()
    .min(1)
    .max(200)
    .refine((text) => text !== '__proto__', 'is a name that objects do not take');
const role = () => z.string().min(1).max(200);

const script = z.union([
  moduleFile('defineTransform'),
  z.strictObject({
    file: moduleFile('defineTransform'),
    options: z
      .json()
      .prefault({})
      .describe('Handed to the transform as `context.options`, after its own schema has checked them.'),
    timeout: duration({ min: 1, max: 300_000 }).prefault('1s').describe('Longest wait for a promise of it; then 504.'),
  }),
]);

const reshape = {
  script: script.optional().describe('A function in a file of your own makes the new value; a text is the file.'),
  select: z
    .string()
    .min(1)
    .max(10_000)
    .optional()
    .describe('A JMESPath expression; the body becomes what it gives, such as `items[?price > \\`10\\`].{id: id}`.'),
  pick: paths('Only these fields stay. A step `*` is every member or item.').optional(),
  omit: paths('Fields that are taken out.').optional(),
  rename: z
    .record(path(), memberName())
    .optional()
    .describe('Fields and their new names, in the same place: `{ /user_name: userName }`.'),
  set: z
    .record(path(), z.json())
    .optional()
    .describe(
      'Fields and their values, also new ones; texts are templates such as `{auth.sub}` or `{body.id}`. One without value is left as it is.',
    ),
  envelope: z
    .json()
    .optional()
    .describe('The whole new body; `{body}` in it is the one so far: `{ data: "{body}", id: "{request.id}" }`.'),
  maxSize: size({ min: 1, max: 64 * 1024 ** 2 })
    .prefault('1mb')
    .describe('Largest body, or largest line or event: it is held in memory while it is changed.'),
  maxDepth: z.int().min(1).max(1_000).prefault(64).describe('Deepest nesting of JSON.'),
};

const text = (what: string) => z.string().min(1).max(200).describe(what);

const parameterValue = () => z.union([z.string().max(4_096), z.number(), z.boolean()]);

const query = z
  .strictObject({
    rename: z.record(text('Name'), text('New name')).prefault({}).describe('Parameters and their new names.'),
    remove: z.array(text('Name')).max(200).prefault([]).describe('Parameters that are taken out.'),
    set: z
      .record(text('Name'), parameterValue())
      .prefault({})
      .describe(
        'Parameters and their values, in place of those that are there. Texts are templates; one without value is left out.',
      ),
    add: z
      .record(text('Name'), parameterValue())
      .prefault({})
      .describe('Parameters and their values, beside those that are there.'),
  })
  .describe('Changes of the query that the service gets.');

const request = z
  .strictObject({
    query: query.optional(),
    ...reshape,
    otherTypes: z
      .enum(['refuse', 'pass'])
      .prefault('refuse')
      .describe('Bodies that are not JSON: 415, or they pass unchanged. Only where the body is changed.'),
  })
  .describe('What the service gets. A body is changed when validation has found it right.');

const response = z
  .strictObject({
    status: z
      .record(
        z.string().regex(/^[2-5]\d\d$/, 'must be a status from 200 to 599'),
        z
          .int()
          .min(200)
          .max(599)
          .refine((status) => ![204, 205, 304].includes(status), 'is a status without body'),
      )
      .prefault({})
      .describe('Statuses of the service and those that the client gets: `{ 404: 410 }`.'),
    statuses: z
      .enum(['success', 'all'])
      .prefault('success')
      .describe('Whether only bodies of 2xx are changed. `hide` and `show` hold for all.'),
    hide: z
      .array(
        z.strictObject({
          fields: paths('Fields that are taken out.'),
          except: z.array(role()).max(100).prefault([]).describe('Roles that see them. Default: none.'),
        }),
      )
      .min(1)
      .max(100)
      .optional()
      .describe('Fields that only some roles see.'),
    show: z
      .array(
        z.strictObject({
          roles: z
            .array(role())
            .min(1)
            .max(100)
            .optional()
            .describe('For callers with one of these roles. Default: for all.'),
          fields: paths('Fields that they see; `/*` is everything.'),
        }),
      )
      .min(1)
      .max(100)
      .optional()
      .describe(
        'The only fields that callers see: the first entry that fits the caller holds, without one nothing is seen.',
      ),
    ...reshape,
    otherTypes: z
      .enum(['refuse', 'pass'])
      .optional()
      .describe(
        'Bodies that are not JSON: they pass unchanged, or 502. Default: `refuse` beside `hide` and `show`, else `pass`.',
      ),
  })
  .describe('What the client gets.');

const transformSchema = z
  .strictObject({ request: request.optional(), response: response.optional() })
  .describe('Changes query, status and JSON bodies (also NDJSON and server-sent events, one by one) on the way.');

type Request = z.output<typeof request>;
type Response = z.output<typeof response>;

export const transformOptions = definePolicyOptions({
  key: 'transform',
  schema: transformSchema,
  levels: ['service', 'route'],
  combine: 'all',
  compile({ request: asked, response: answered }, context, route) {
    // Of the one service that all parts of an aggregation ask: about its own bodies, not about the composed one.
    if (route.action === 'aggregate' && route.level === 'service') return [];
    const settings: TransformSettings = {
      request: asked === undefined ? null : requestOf(asked, context),
      response: answered === undefined ? null : responseOf(answered, context),
    };
    return [{ name: 'transform', options: settings }];
  },
});

function requestOf(options: Request, context: OptionContext): TransformSettings['request'] {
  const made = reshapeOf(options, ['request'], context);
  const own = scriptOf(options.script, ['request', 'script'], context);
  return {
    query: options.query === undefined ? null : queryOf(options.query, context),
    body: made === null && own === null ? null : bodyOf(options, null, own, made, options.otherTypes),
  };
}

function responseOf(options: Response, context: OptionContext): TransformSettings['response'] {
  const { status } = options;
  for (const from of Object.keys(status))
    if (['204', '205', '206', '304'].includes(from))
      context.problem('has no body, or a part of one, and so stays what it is', { at: ['response', 'status', from] });
  const made = reshapeOf(options, ['response'], context);
  const own = scriptOf(options.script, ['response', 'script'], context);
  const visibility = visibilityOf(options);
  const otherTypes = options.otherTypes ?? (visibility === null ? 'pass' : 'refuse');
  return {
    status: Object.entries(status).map(([from, to]) => [Number(from), to] as const),
    statuses: options.statuses,
    body:
      made === null && own === null && visibility === null ? null : bodyOf(options, visibility, own, made, otherTypes),
  };
}

function bodyOf(
  { maxSize, maxDepth }: { readonly maxSize: number; readonly maxDepth: number },
  visibility: Visibility | null,
  own: ModuleSettings | null,
  made: ReshapeSettings | null,
  otherTypes: 'pass' | 'refuse',
): BodyTransformSettings {
  return { visibility, script: own, reshape: made, maxBytes: maxSize, maxDepth, otherTypes };
}

function reshapeOf(options: Request | Response, at: KeyPath, context: OptionContext): ReshapeSettings | null {
  const { select, pick, omit, rename, set, envelope } = options;
  if ([select, pick, omit, rename, set, envelope].every((each) => each === undefined)) return null;
  if (select !== undefined) {
    try {
      jmespath.compile(select);
    } catch (error) {
      context.problem(`is no JMESPath expression: ${messageOf(error)}`, {
        at: [...at, 'select'],
        got: JSON.stringify(select),
      });
    }
  }
  return {
    select: select ?? null,
    pick: pick?.map(stepsOf) ?? null,
    omit: omit?.map(stepsOf) ?? [],
    rename: Object.entries(rename ?? {}).map(([from, to]) => [stepsOf(from), to] as const),
    set: Object.entries(set ?? {}).map(
      ([to, value]) => [stepsOf(to), templateOf(value, ROOTS, [...at, 'set', to], context)] as const,
    ),
    envelope: envelope === undefined ? null : templateOf(envelope, ROOTS, [...at, 'envelope'], context),
  };
}

function scriptOf(
  written: z.output<typeof script> | undefined,
  at: KeyPath,
  context: OptionContext,
): ModuleSettings | null {
  if (written === undefined) return null;
  const isText = typeof written === 'string';
  const { file, options, timeout } = isText ? { file: written, options: {}, timeout: 1_000 } : written;
  const found = compileModule('transform', file, options, context, isText ? at : [...at, 'file'], [...at, 'options']);
  return found === undefined ? null : { ...found, options, timeoutMs: timeout };
}

function queryOf({ rename, remove, set, add }: z.output<typeof query>, context: OptionContext): QueryChanges {
  const made = (key: 'set' | 'add', values: typeof set): QueryChanges['set'] =>
    Object.entries(values).map(
      ([name, value]) => [name, templateOf(value, REQUEST_ROOTS, ['request', 'query', key, name], context)] as const,
    );
  return { rename: Object.entries(rename), remove, set: made('set', set), add: made('add', add) };
}

function templateOf(value: unknown, roots: readonly string[], at: KeyPath, context: OptionContext): ValueTemplate {
  try {
    return readValue(value, roots);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    context.problem(error.message, { at });
    return { kind: 'literal', value: null };
  }
}
