/**
 * Who calls the cluster API, and what they may do. The gateway authenticates callers and names them in `X-Auth-*`,
 * every outside copy of which it removes; on the socket of the command line everybody is an administrator, as with the
 * control socket: the permissions of the file decide.
 */
import type { Context } from 'hono';
import { decoded, gatewayIdentity } from '../gateway-identity.ts';
import { ClusterRefusal } from './refusal.ts';

/**
 * `read` sees everything, `tasks` puts tasks in, `operate` changes nodes and tasks, `admin` also tokens and rollouts.
 */
export type Right = 'read' | 'tasks' | 'operate' | 'admin';

export interface ClusterCaller {
  readonly name: string;
  readonly rights: ReadonlySet<Right>;
}

export type ReadCaller = (context: Context) => ClusterCaller | null;

const ALL: ReadonlySet<Right> = new Set(['read', 'tasks', 'operate', 'admin']);
const OF_ROLE: Readonly<Record<string, readonly Right[]>> = {
  viewer: ['read'],
  operator: ['read', 'tasks', 'operate'],
  admin: [...ALL],
};
const OF_SCOPE: Readonly<Record<string, readonly Right[]>> = {
  'cluster:read': ['read'],
  'cluster:tasks': ['read', 'tasks'],
  'cluster:operate': ['read', 'tasks', 'operate'],
  'cluster:admin': [...ALL],
};

/** The admin API has found out who it is, and says so. */
export const localCaller: ReadCaller = (context) => ({
  name: decoded(context.req.header('x-gatehouse-actor')) ?? 'command line',
  rights: ALL,
});

/** Roles and scopes of an outside issuer count only when the operator named it (`cluster.adminIssuers`). */
export const gatewayCaller =
  (adminIssuers: readonly string[]): ReadCaller =>
  (context) => {
    const identity = gatewayIdentity((name) => context.req.header(name));
    if (identity === null) return null;
    const rights = new Set<Right>();
    if (identity.issuer === null || adminIssuers.includes(identity.issuer)) {
      for (const role of identity.roles) for (const right of of(OF_ROLE, role)) rights.add(right);
      for (const scope of identity.scopes) for (const right of of(OF_SCOPE, scope)) rights.add(right);
    }
    return { name: identity.account, rights };
  };

function of(table: Readonly<Record<string, readonly Right[]>>, key: string): readonly Right[] {
  return Object.hasOwn(table, key) ? (table[key] ?? []) : [];
}

const JOIN_SCOPE = 'cluster:join';

/**
 * The name in the client certificate of a node that joins by it. The gateway has looked at the certificate; its rule
 * gives the name and must give the scope. Throws what the API answers otherwise.
 */
export function certifiedName(context: Context): string {
  const identity = gatewayIdentity((name) => context.req.header(name));
  if (identity === null || context.req.header('x-auth-method') !== 'mtls')
    throw new ClusterRefusal(401, 'AUTHENTICATION_REQUIRED', 'a client certificate is needed to join here');
  if (identity.scopes.includes(JOIN_SCOPE)) return identity.subject;
  throw new ClusterRefusal(403, 'INSUFFICIENT_PERMISSIONS', `this needs the scope ${JOIN_SCOPE}`);
}

/** The caller, if it may do this. Throws what the API answers otherwise. */
export function callerWith(right: Right, read: ReadCaller, context: Context): ClusterCaller {
  const caller = read(context);
  if (caller === null) throw new ClusterRefusal(401, 'AUTHENTICATION_REQUIRED', 'authentication is required');
  if (caller.rights.has(right)) return caller;
  const roles = Object.keys(OF_ROLE).filter((role) => OF_ROLE[role]?.includes(right));
  throw new ClusterRefusal(
    403,
    'INSUFFICIENT_PERMISSIONS',
    `this needs the role ${roles.join(' or ')}, or the scope cluster:${right}`,
  );
}
