/** Who may do what by what the gateway says of a caller. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Context } from 'hono';
import { callerWith, gatewayCaller, type Right } from './caller.ts';
import { ClusterRefusal } from './refusal.ts';

const context = (headers: Readonly<Record<string, string>>): Context =>
  ({ req: { header: (name: string) => headers[name] } }) as unknown as Context;

const RIGHTS: readonly Right[] = ['read', 'tasks', 'operate', 'admin'];
const OWN = { 'x-auth-subject': 'ada' };
const OUTSIDE = { ...OWN, 'x-auth-issuer': encodeURIComponent('https://issuer.example') };

for (const { name, headers, trusted = [], want } of [
  { name: 'nobody', headers: {}, want: [] },
  {
    name: 'a role of the gateway',
    headers: { ...OWN, 'x-auth-roles': 'operator' },
    want: ['read', 'tasks', 'operate'],
  },
  { name: 'a role that is not one of these', headers: { ...OWN, 'x-auth-roles': 'Billing%20admin' }, want: [] },
  { name: 'the name of a member of Object', headers: { ...OWN, 'x-auth-roles': 'constructor' }, want: [] },
  { name: 'a scope', headers: { ...OWN, 'x-auth-scopes': 'a cluster:tasks' }, want: ['read', 'tasks'] },
  { name: 'a role of an outside issuer', headers: { ...OUTSIDE, 'x-auth-roles': 'admin' }, want: [] },
  {
    name: 'a role of an outside issuer that is named',
    headers: { ...OUTSIDE, 'x-auth-roles': 'admin' },
    trusted: ['https://issuer.example'],
    want: RIGHTS,
  },
])
  test(`${name} may ${want.length === 0 ? 'do nothing' : want.join(', ')}`, () => {
    const read = gatewayCaller(trusted);
    const may = RIGHTS.filter((right) => {
      try {
        callerWith(right, read, context(headers));
        return true;
      } catch (error) {
        assert.ok(error instanceof ClusterRefusal && [401, 403].includes(error.status));
        return false;
      }
    });
    assert.deepEqual(may, want);
  });
