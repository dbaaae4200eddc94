/** The configuration over HTTP: read it, try another, apply it with If-Match, its history, and going back. */
import * as z from 'zod';
import { isSecretKey } from '../config/secrecy.ts';
import { TooManyTrials } from '../config/trials.ts';
import type { ReplaceResult, TrialResult } from '../live-configuration.ts';
import { mayAct } from './access.ts';
import { AdminError, type Kit, notThere, operation } from './kit.ts';
import { history, configuration as live, outcome, revisionText, trial } from './responses.ts';
import type { AdminPlan } from './section.ts';

const TAG = 'configuration';
const reason = z.string().min(1).max(200).optional().describe('Why, for the history and the log.');
const revision = z.coerce.number().int().min(1).describe('Number of a revision.');
const MASK = '***';

export function configRoutes(kit: Kit, plan: () => AdminPlan): void {
  const { host } = kit;
  const { configuration } = host;

  operation(
    kit,
    {
      method: 'get',
      path: '/config',
      tag: TAG,
      summary: 'The live configuration, with secrets masked',
      role: 'viewer',
      response: live,
    },
    ({ context }) => {
      context.header('etag', `"${configuration.hash}"`);
      const writable = plan().writable && configuration.status().readOnly === null;
      return {
        etag: configuration.hash,
        writable,
        ...configuration.status(),
        document: masked(JSON.parse(configuration.config.json)),
      };
    },
  );

  operation(
    kit,
    {
      method: 'get',
      path: '/config/text',
      tag: TAG,
      summary: 'The live configuration as it is written; it may hold secrets',
      role: 'admin',
      mediaType: 'text/plain',
      response: z.string(),
    },
    ({ context }) => context.text(configuration.config.text, 200, { etag: `"${configuration.hash}"` }),
  );

  operation(
    kit,
    {
      method: 'post',
      path: '/config/check',
      tag: TAG,
      summary: 'What the source as it is now, or for admins a text, would change; nothing changes',
      role: 'viewer',
      body: z.strictObject({
        text: z
          .string()
          .max(16 * 1024 ** 2)
          .optional()
          .describe('Another configuration. Needs the role `admin`.'),
      }),
      response: trial,
      errors: { 503: 'Too many wait to be checked' },
    },
    ({ body, operator }): Promise<TrialResult> => {
      // A text may name any variable of the environment and any file, and the answer would show what stands there.
      if (body.text !== undefined && !mayAct(operator.role, 'admin'))
        throw new AdminError(403, 'INSUFFICIENT_PERMISSIONS', 'to check a given text, this needs the role admin');
      return inTurn(configuration.tryOut(body.text));
    },
  );

  operation(
    kit,
    {
      method: 'put',
      path: '/config',
      tag: TAG,
      summary:
        'Replaces the configuration: checked, written and live, or nothing of it. If-Match is the etag of what was read',
      role: 'admin',
      body: z.strictObject({ text: z.string().max(16 * 1024 ** 2), reason }),
      response: outcome,
      errors: {
        409: 'It is read only',
        412: 'It was changed meanwhile',
        422: 'It is wrong',
        428: 'If-Match is missing',
      },
    },
    async ({ body, operator, context }) => {
      const match = /^"?([0-9a-f]+)"?$/.exec(context.req.header('if-match') ?? '')?.[1];
      if (match === undefined)
        throw new AdminError(
          428,
          'PRECONDITION_REQUIRED',
          'If-Match must have the etag of the configuration that was read',
        );
      if (!plan().writable) throw readOnly('admin.writable is false');
      const change = { author: operator.name, reason: body.reason ?? 'applied by the admin API' };
      const result = settled(await configuration.replace(body.text, change, match));
      await host.audit({
        actor: operator.name,
        action: 'admin.config.apply',
        target: 'configuration',
        detail: { etag: configuration.hash },
      });
      return { ...result, etag: configuration.hash };
    },
  );

  operation(
    kit,
    {
      method: 'post',
      path: '/config/reload',
      tag: TAG,
      summary: 'Reads the source anew',
      role: 'operator',
      body: z.strictObject({ reason }),
      response: outcome,
      errors: { 422: 'It is wrong' },
    },
    async ({ body, operator }) => {
      const result = await configuration.reload({
        author: operator.name,
        reason: body.reason ?? 'reload by the admin API',
      });
      if (!result.ok) throw wrong(result.problems);
      await host.audit({ actor: operator.name, action: 'admin.config.reload', target: 'configuration', detail: {} });
      return result;
    },
  );

  operation(
    kit,
    {
      method: 'get',
      path: '/config/history',
      tag: TAG,
      summary: 'Configurations that were live, newest first, with who, when and why',
      role: 'viewer',
      response: history,
    },
    () => ({ live: configuration.status(), revisions: configuration.history.list() }),
  );

  operation(
    kit,
    {
      method: 'get',
      path: '/config/history/{revision}',
      tag: TAG,
      summary: 'A revision with its text; it may hold secrets',
      role: 'admin',
      params: z.object({ revision }),
      response: revisionText,
      errors: { 404: 'No such revision' },
    },
    async ({ params }) => (await configuration.history.read(params.revision)) ?? raise(notThere('revision')),
  );

  operation(
    kit,
    {
      method: 'get',
      path: '/config/history/{revision}/diff',
      tag: TAG,
      summary: 'What going back to a revision would change',
      role: 'viewer',
      params: z.object({ revision }),
      response: trial,
      errors: { 404: 'No such revision, or one that cannot be restored', 503: 'Too many wait to be checked' },
    },
    async ({ params }) =>
      (await inTurn(configuration.tryRevision(params.revision))) ?? raise(notThere('revision that can be restored')),
  );

  operation(
    kit,
    {
      method: 'post',
      path: '/config/rollback',
      tag: TAG,
      summary: 'Makes an earlier revision live; the file is written only where it is writable and `write` is true',
      role: 'admin',
      body: z.strictObject({ revision: z.int().min(1).optional(), write: z.boolean().prefault(false), reason }),
      response: outcome,
      errors: { 404: 'No such revision', 409: 'It is read only', 422: 'It is wrong by now' },
    },
    async ({ body, operator }) => {
      if (body.write && !plan().writable) throw readOnly('admin.writable is false');
      const change = { author: operator.name, reason: body.reason ?? 'rollback by the admin API' };
      const gone = await configuration.goBack(body.revision ?? null, change, body.write);
      if (gone === null) throw notThere('revision that can be restored');
      const result = settled(gone);
      await host.audit({
        actor: operator.name,
        action: 'admin.config.rollback',
        target: `revision ${body.revision ?? 'before'}`,
        detail: { write: body.write },
      });
      return { ...result, etag: configuration.hash };
    },
  );
}

function settled(result: ReplaceResult) {
  switch (result.kind) {
    case 'stale':
      throw new AdminError(412, 'PRECONDITION_FAILED', 'the configuration was changed meanwhile', {
        members: { etag: result.hash },
      });
    case 'unwritable':
      throw readOnly(result.reason);
    case 'refused':
      throw wrong(result.problems);
    case 'done':
      return result;
  }
}

const readOnly = (why: string): AdminError =>
  new AdminError(409, 'CONFLICT', `the configuration is read only: ${why}`, { reason: 'read_only' });

const wrong = (problems: readonly string[]): AdminError =>
  new AdminError(422, 'VALIDATION_ERROR', 'the configuration is wrong, nothing was changed', { members: { problems } });

/** Trials run one after another, and only so many wait. */
async function inTurn<Result>(trial: Promise<Result>): Promise<Result> {
  try {
    return await trial;
  } catch (error) {
    if (error instanceof TooManyTrials) throw new AdminError(503, 'SERVICE_UNAVAILABLE', error.message);
    throw error;
  }
}

function raise(error: Error): never {
  throw error;
}

/** Values that may be secrets, by the name of their key. */
function masked(value: unknown, path: readonly (string | number)[] = []): unknown {
  if (Array.isArray(value)) return value.map((item, index) => masked(item, [...path, index]));
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, masked(inner, [...path, key])]));
  if (typeof value !== 'string') return value;
  if (isSecretKey(path)) return MASK;
  return value.replace(/([a-z][a-z0-9+.-]*:\/\/)[^/?#\s]*@/gi, `$1${MASK}@`);
}
