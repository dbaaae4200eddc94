/**
 * Who calls the cluster API, and what they may do. The gateway authenticates callers and names them in `X-Auth-*`, every
 * outside copy of which it removes; on the socket of the command line everybody is an administrator, as with the control
 * socket: the permissions of the file decide.
 */
import type { Context } from 'hono';
import { ClusterRefusal } from './refusal.ts';

/** `read` sees everything, `tasks` puts tasks in, `operate` changes nodes and tasks, `admin` also tokens and rollouts. */
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

export const localCaller: ReadCaller = () => ({ name: 'command line', rights: ALL });

export const gatewayCaller: ReadCaller = (context) => {
  const name = decoded(context.req.header('x-auth-subject'));
  if (name === null) return null;
  const rights = new Set<Right>();
  for (const role of (context.req.header('x-auth-roles') ?? '').split(','))
    for (const right of of(OF_ROLE, decoded(role))) rights.add(right);
  for (const scope of (context.req.header('x-auth-scopes') ?? '').split(' '))
    for (const right of of(OF_SCOPE, decoded(scope))) rights.add(right);
  return { name, rights };
};

function of(table: Readonly<Record<string, readonly Right[]>>, key: string | null): readonly Right[] {
  return key !== null && Object.hasOwn(table, key) ? (table[key] ?? []) : [];
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

function decoded(text: string | undefined): string | null {
  if (text === undefined || text === '') return null;
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
