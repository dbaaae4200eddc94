/**
 * The key `admin`: where the admin API and the console are reached, who may use them, and whether they may write the
 * configuration. Without the key they are on the control socket alone. feature.ts serves what is said here.
 */
import { hash } from 'node:crypto';
import * as z from 'zod';
import { plainPath } from '../config/schema/fields.ts';
import { defineSection, OPERATOR_CALLS } from '../config/section.ts';
import { CONSOLE_VARIABLE } from '../console-variable.ts';

/** Each may do what those before it may. */
export const ROLES = ['viewer', 'operator', 'admin'] as const;
export type Role = (typeof ROLES)[number];

export interface AdminToken {
  readonly name: string;
  readonly role: Role;
  /** SHA-256, so that the plan holds no secret. */
  readonly hash: string;
}

export interface AdminPlan {
  readonly listen: { readonly host: string; readonly port: number } | null;
  /** Prefix on the gateway's listeners; null is off. */
  readonly path: string | null;
  readonly writable: boolean;
  readonly tokens: readonly AdminToken[];
  readonly roles: Readonly<Record<Role, readonly string[]>>;
}

const NO_ADMIN: AdminPlan = {
  listen: null,
  path: null,
  writable: false,
  tokens: [],
  roles: { viewer: [], operator: [], admin: [] },
};

/** Reached from this machine alone. */
const ANY_OWN_PORT = { host: '127.0.0.1', port: 0 };

const SERVICE = 'builtin:admin';
/** What one address may ask of the console's sign-in behind the gateway. */
const SIGN_INS = { limit: 120, windowMs: 60_000, burst: 120 };
const ADDRESS = /^(\[[0-9a-fA-F:]+\]|[^:\s]+):(\d{1,5})$/;
const LOOPBACK = /^(127\.\d+\.\d+\.\d+|::1|localhost)$/;

const names = (meaning: string, own: string) =>
  z.array(z.string().min(1).max(100)).max(100).prefault([own]).describe(meaning);

const schema = z
  .strictObject({
    listen: z
      .union([z.literal('off'), z.string().regex(ADDRESS, 'must read HOST:PORT, such as 127.0.0.1:8001, or off')])
      .prefault('127.0.0.1:8001')
      .describe(
        'Address of a listener of its own for admin API, console, health and metrics; port 0 lets the system choose. Security: plain HTTP, so keep it on loopback, and use `path` from elsewhere.',
      ),
    path: z
      .union([z.literal('off'), plainPath()])
      .prefault('off')
      .describe(
        'Prefix under which the gateway itself has admin API and console, such as `/gatehouse`, behind its `auth`; callers need one of `roles`. `off` is nowhere.',
      ),
    writable: z
      .boolean()
      .prefault(false)
      .describe(
        'Let the API write the configuration file. `false`: the file is kept elsewhere, such as in Git, and is read only.',
      ),
    tokens: z
      .array(
        z.strictObject({
          name: z.string().min(1).max(100).describe('Who has it; the author in history and audit log.'),
          role: z
            .enum(ROLES)
            .describe('What it may do: `viewer` looks, `operator` acts, `admin` changes configuration and accounts.'),
          token: z
            .string()
            .min(24, 'must have at least 24 characters')
            .max(500)
            .meta({ writeOnly: true })
            .describe('Bearer token; write it as a variable, not into the file.'),
        }),
      )
      .max(100)
      .prefault([])
      .describe('Bearer tokens for scripts, on the listener of its own.'),
    roles: z
      .strictObject({
        viewer: names('Roles of accounts that may look.', 'viewer'),
        operator: names('Roles of accounts that may act: drain, open breakers, ban.', 'operator'),
        admin: names('Roles of accounts that may do everything.', 'admin'),
      })
      .prefault({})
      .describe(
        'Which roles of authenticated callers count, for `path`; accounts and keys of this gateway only, not of outside issuers.',
      ),
  })
  .describe('Admin API and console: where they are and who may use them.');

export const adminSection = defineSection({
  at: 'top',
  key: 'admin',
  schema,
  compile(options, context): AdminPlan {
    context.addService(SERVICE);
    if (options === undefined)
      return context.env[CONSOLE_VARIABLE] === '1' ? { ...NO_ADMIN, listen: ANY_OWN_PORT } : NO_ADMIN;
    const { listen, path, writable, tokens, roles } = options;
    const match = ADDRESS.exec(listen);
    const host = (match?.[1] ?? '').replace(/^\[|\]$/g, '');
    const port = Number(match?.[2] ?? 0);
    if (port > 65_535) context.problem('is no port', { at: ['listen'], got: String(port), expected: 'at most 65535' });
    if (match !== null && !LOOPBACK.test(host))
      context.warning('the admin listener is plain HTTP and not on loopback', { at: ['listen'], got: listen });
    const seen = new Set<string>();
    for (const [index, { name }] of tokens.entries()) {
      if (seen.has(name)) context.problem('two tokens have this name', { at: ['tokens', index, 'name'], got: name });
      seen.add(name);
    }
    if (path !== 'off') {
      const { identity } = (context.document ?? {}) as { readonly identity?: { readonly enabled?: unknown } };
      // With accounts the console has a sign-in of its own; without, who may load it is the gateway's to know.
      if (identity?.enabled === true)
        context.addRoute({
          id: `${SERVICE}${path}/console`,
          service: SERVICE,
          path: `${path}/console/*`,
          movedBy: 'admin.path',
          isOperations: true,
          limits: [
            {
              ...SIGN_INS,
              scope: `${SERVICE} sign-in`,
              paths: `^${path.replaceAll(/[^\w/]/g, '\\$&')}/console/api/session`,
            },
          ],
        });
      for (const suffix of ['', '/*'])
        context.addRoute({
          id: `${SERVICE}${suffix}`,
          service: SERVICE,
          path: `${path}${suffix}`,
          movedBy: 'admin.path',
          authenticated: true,
          limits: [{ ...OPERATOR_CALLS, scope: `${SERVICE} operators` }],
        });
    }
    return {
      listen: match === null ? null : { host, port },
      path: path === 'off' ? null : path,
      writable,
      tokens: tokens.map(({ name, role, token }) => ({ name, role, hash: tokenHash(token) })),
      roles,
    };
  },
});

export function tokenHash(token: string): string {
  return hash('sha256', token, 'hex');
}
