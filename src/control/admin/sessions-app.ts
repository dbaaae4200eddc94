/**
 * Signing in to the console and out of it: by a link that works once, or with an account of this gateway (password and
 * second factor, or a passkey). What comes of it is a cookie of the API that it stands beside.
 */
import { randomUUID } from 'node:crypto';
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Context } from 'hono';
import * as z from 'zod';
import { errorBody } from '../../base/error-body.ts';
import type { OperatorProof, OperatorRequest } from '../operator-accounts.ts';
import { OperatorRefusal } from '../operator-accounts.ts';
import { CONSOLE_HEADER, COOKIE } from './access.ts';
import type { AdminParts } from './app.ts';

const MOST_BODY_BYTES = 64 * 1024;

const text = (most: number) => z.string().min(1).max(most);
const passkey = z.record(z.string(), z.unknown());
const body = z.union([
  z.strictObject({ link: text(200) }),
  z.strictObject({ login: text(320), password: text(256) }),
  z.strictObject({ ticket: text(600), code: text(40) }),
  z.strictObject({ ticket: text(600), passkey }),
  z.strictObject({ passkey }),
]);

interface Bindings {
  readonly incoming?: { readonly socket?: { readonly remoteAddress?: string | undefined } };
}

/** `base`: path of the API. */
export function addSessionRoutes(app: OpenAPIHono, { host, access }: AdminParts, base: string): void {
  const refuse = (
    context: Context,
    refusal: Pick<OperatorRefusal, 'status' | 'code' | 'message'> & { reason?: string },
  ) => {
    const { body: shown, contentType } = errorBody(refusal, {
      format: host.configuration.snapshot.gateway.errorFormat,
      accept: context.req.header('accept'),
      requestId: context.req.header('x-request-id') ?? randomUUID(),
      path: context.req.path,
      wallMs: Date.now(),
    });
    return new Response(shown, {
      status: refusal.status,
      headers: { 'content-type': contentType, 'cache-control': 'no-store' },
    });
  };
  const guarded = (work: (context: Context) => Promise<Response>) => async (context: Context) => {
    context.header('cache-control', 'no-store');
    // No foreign page can send it without asking first (CORS).
    if (!context.req.header(CONSOLE_HEADER))
      return refuse(context, {
        status: 403,
        code: 'INSUFFICIENT_PERMISSIONS',
        message: 'only the console signs in here',
      });
    try {
      return await work(context);
    } catch (error) {
      if (!(error instanceof OperatorRefusal)) throw error;
      const response = refuse(context, error);
      if (error.retryAfterSeconds !== undefined)
        response.headers.set('retry-after', String(Math.ceil(error.retryAfterSeconds)));
      return response;
    }
  };
  const secure = (context: Context): string =>
    context.req.header('x-forwarded-proto') === 'https' || context.req.url.startsWith('https:') ? '; Secure' : '';
  const cookie = (context: Context, value: string, more = ''): void =>
    context.header(
      'set-cookie',
      `${COOKIE}=${value}; Path=${base}; HttpOnly; SameSite=Strict${secure(context)}${more}`,
    );

  /** How one may sign in here. */
  app.get(`${base}/session`, (context) => {
    context.header('cache-control', 'no-store');
    const accounts = host.accounts();
    return context.json({ accounts: accounts !== undefined, passkeyDomain: accounts?.rpId ?? null });
  });

  app.post(
    `${base}/session`,
    guarded(async (context) => {
      const given = body.safeParse(await readJson(context.req.raw));
      if (!given.success)
        return refuse(context, {
          status: 400,
          code: 'VALIDATION_ERROR',
          message: 'a link, a login with password, a ticket with its factor, or a passkey is needed',
        });
      if ('link' in given.data) {
        const secret = access.useLink(given.data.link);
        if (secret === undefined) return context.json({ message: 'the link was used already, or is too old' }, 401);
        cookie(context, secret);
        return context.json({ signedIn: true });
      }
      const accounts = host.accounts();
      if (accounts === undefined)
        return refuse(context, { status: 404, code: 'RESOURCE_NOT_FOUND', message: 'this gateway keeps no accounts' });
      const from = requestOf(context);
      const found = await accounts.signIn(proofOf(given.data), from, (roles) => access.roleOf(roles) !== undefined);
      if ('ticket' in found) return context.json({ signedIn: false, ...found });
      const role = access.roleOf(found.roles);
      if (role === undefined)
        return refuse(context, {
          status: 403,
          code: 'INSUFFICIENT_PERMISSIONS',
          message: 'this account has no role for the console',
        });
      const before = access.end(context.req.raw);
      if (before !== undefined) await accounts.end(before, from);
      cookie(context, access.enter({ name: found.name, role }, found.sessionId));
      await host.audit({ actor: found.name, action: 'admin.signed-in', target: 'console', detail: { role } });
      return context.json({ signedIn: true });
    }),
  );

  app.post(
    `${base}/session/challenge`,
    guarded(async (context) => {
      const accounts = host.accounts();
      if (accounts === undefined)
        return refuse(context, { status: 404, code: 'RESOURCE_NOT_FOUND', message: 'this gateway keeps no accounts' });
      const given = z.strictObject({ ticket: text(600).optional() }).safeParse(await readJson(context.req.raw));
      if (!given.success)
        return refuse(context, { status: 400, code: 'VALIDATION_ERROR', message: 'a ticket, or nothing' });
      return context.json(await accounts.challenge(given.data.ticket, requestOf(context)));
    }),
  );

  app.delete(`${base}/session`, async (context) => {
    const sessionId = access.end(context.req.raw);
    if (sessionId !== undefined) await host.accounts()?.end(sessionId, requestOf(context));
    cookie(context, '', '; Max-Age=0');
    return context.json({ signedIn: false });
  });
}

function proofOf(given: Exclude<z.output<typeof body>, { link: string }>): OperatorProof {
  if ('login' in given) return { kind: 'password', ...given };
  if ('ticket' in given) return { kind: 'factor', ...given };
  return { kind: 'passkey', ...given };
}

function requestOf(context: Context): OperatorRequest {
  return {
    field: (name) => context.req.header(name) ?? null,
    peer: (context.env as Bindings | undefined)?.incoming?.socket?.remoteAddress,
  };
}

/** Null for what is no JSON, or too long. */
async function readJson(request: Request): Promise<unknown> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.length;
    if (size > MOST_BODY_BYTES) return null;
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString()) as unknown;
  } catch {
    return null;
  }
}
