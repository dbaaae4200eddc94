import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '../../../base/errors.ts';
import type { MtlsRule } from '../../contract/auth.ts';
import type { ClientCertificate } from '../../contract/policy.ts';
import { auth } from '../../policies/auth.ts';
import { createPolicy, RecordingExchange, runRequestPhases, testEnvironment } from '../../policies/testing.ts';
import { authSettings } from '../testing.ts';

const digest = 'ab'.repeat(32);
const fingerprint256 = digest.toUpperCase().replace(/..(?=.)/g, '$&:');

const rule = (more: Partial<MtlsRule>): MtlsRule => ({
  subject: {},
  fingerprints: [],
  alternativeNames: [],
  identity: { from: 'cn' },
  roles: [],
  scopes: [],
  plan: null,
  ...more,
});

async function call(rules: readonly MtlsRule[], certificate: Partial<ClientCertificate>) {
  const hooks = createPolicy(auth, authSettings({ mtls: { rules } }), testEnvironment());
  const clientCertificate = { subject: 'O=Example\nCN=billing', fingerprint256, ...certificate };
  const exchange = new RecordingExchange({ clientCertificate });
  const outcome = await runRequestPhases(hooks, exchange);
  return { identity: exchange.identity, cause: outcome instanceof Fault ? outcome.cause : undefined };
}

for (const { name, rules, certificate, want } of [
  { name: 'by subject', rules: [rule({ subject: { CN: 'billing', O: 'Example' } })], certificate: {}, want: 'billing' },
  { name: 'by subject, other name', rules: [rule({ subject: { CN: 'shipping' } })], certificate: {}, want: null },
  {
    name: 'by subject, one attribute missing',
    rules: [rule({ subject: { CN: 'billing', OU: 'x' } })],
    certificate: {},
    want: null,
  },
  { name: 'by fingerprint', rules: [rule({ fingerprints: [digest] })], certificate: {}, want: 'billing' },
  { name: 'by another fingerprint', rules: [rule({ fingerprints: ['cd'.repeat(32)] })], certificate: {}, want: null },
  {
    name: 'by alternative name',
    rules: [rule({ alternativeNames: ['URI:spiffe://example/billing'], identity: { fixed: 'billing-service' } })],
    certificate: { subjectAltName: 'DNS:x, URI:spiffe://example/billing' },
    want: 'billing-service',
  },
  {
    name: 'by alternative name, none given',
    rules: [rule({ alternativeNames: ['URI:spiffe://example/billing'] })],
    certificate: {},
    want: null,
  },
  {
    name: 'by the second rule',
    rules: [rule({ subject: { CN: 'a' } }), rule({ subject: { O: 'Example' }, identity: { from: 'fingerprint' } })],
    certificate: {},
    want: digest,
  },
  { name: 'any certificate of the authority', rules: [rule({})], certificate: {}, want: 'billing' },
  {
    name: 'with a name that pretends to be two',
    rules: [rule({ subject: { CN: 'admin' } })],
    certificate: { subject: 'O=Example\nCN=x\\, CN=admin' },
    want: null,
  },
  {
    name: 'with two common names, when the name is wanted',
    rules: [rule({ subject: { CN: 'admin' } })],
    certificate: { subject: 'CN=admin\nCN=root' },
    want: null,
  },
  { name: 'without a common name', rules: [rule({})], certificate: { subject: 'O=Example' }, want: null },
  {
    name: 'named by its whole subject',
    rules: [rule({ identity: { from: 'subject' } })],
    certificate: {},
    want: 'O=Example,CN=billing',
  },
]) {
  test(`a certificate ${name}: ${want ?? 'refused'}`, async () => {
    const { identity, cause } = await call(rules, certificate);
    assert.equal(identity?.subject ?? null, want);
    if (want === null) assert.equal(cause, 'no_rule');
    else assert.equal(identity?.method, 'mtls');
  });
}

test('a rule gives roles, scopes and plan; a known certificate is not judged again', async () => {
  const hooks = createPolicy(
    auth,
    authSettings({ mtls: { rules: [rule({ roles: ['service'], scopes: ['a'], plan: 'p' })] } }),
    testEnvironment(),
  );
  const certificate = { subject: 'CN=billing', fingerprint256 };
  const first = new RecordingExchange({ clientCertificate: certificate });
  const second = new RecordingExchange({ clientCertificate: certificate });
  hooks.authenticate?.(first);
  hooks.authenticate?.(second);
  assert.deepEqual([first.identity?.roles, first.identity?.scopes, first.identity?.plan], [['service'], ['a'], 'p']);
  assert.equal(first.identity, second.identity);
});

test('no certificate is no credential, and the challenge says what is wanted', async () => {
  const hooks = createPolicy(auth, authSettings({ mtls: { rules: [rule({})] } }), testEnvironment());
  const outcome = await runRequestPhases(hooks, new RecordingExchange());
  assert.deepEqual((outcome as Fault).headers, { 'WWW-Authenticate': 'ClientCertificate realm="test"' });
});
