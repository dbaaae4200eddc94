/**
 * The section `acme`: from whom certificates of `tls: auto` come, how names are proved, where certificates are kept.
 * Without a listener that says `auto` it has no effect and nothing of this folder is loaded.
 */
import * as z from 'zod';
import { duration, ratio, secret } from '../../base/zod-units.ts';
import { filePath } from '../config/schema/fields.ts';
import { defineSection } from '../config/section.ts';
import { allNames, type NamingDocument, usesAuto } from './names.ts';

export const ACME_SERVICE = 'builtin:acme';

/** RFC 8555 §8, RFC 8737. */
export type ChallengeKind = 'http-01' | 'tls-alpn-01' | 'dns-01';

/** Names of well-known authorities, and where their directory is. */
const DIRECTORIES: Readonly<Record<string, string>> = {
  letsencrypt: 'https://acme-v02.api.letsencrypt.org/directory',
  'letsencrypt-staging': 'https://acme-staging-v02.api.letsencrypt.org/directory',
};

export interface AcmePlan {
  /** Sorted; `*.example.com` needs `dns-01`. */
  readonly names: readonly string[];
  readonly directory: string;
  readonly email: string | null;
  /** Secret ids of PEM texts or keys, or null. */
  readonly ca: string | null;
  readonly externalAccount: { readonly keyId: string; readonly hmacKey: string } | null;
  /** Tried in turn, one for each attempt. */
  readonly challenges: readonly ChallengeKind[];
  readonly dns: { readonly command: readonly string[]; readonly waitMs: number; readonly timeoutMs: number } | null;
  readonly key: 'ecdsa' | 'rsa';
  /** A certificate is renewed when this share of its lifetime is left. */
  readonly renewAtRatio: number;
  /** Secret id of the SQL URL; null: the data folder. */
  readonly storeUrl: string | null;
  /** Secret id, or null: the key file of the data folder. */
  readonly masterKey: string | null;
}

const acmeOptions = z.strictObject({
  server: z
    .union([
      z.enum(['letsencrypt', 'letsencrypt-staging']),
      z.url({ protocol: /^https$/, error: 'must be letsencrypt, letsencrypt-staging or an https URL' }),
    ])
    .prefault('letsencrypt')
    .describe(
      'Authority: `letsencrypt`, `letsencrypt-staging` (to try things out; browsers do not trust its certificates), or the URL of another ACME directory. Using it means that you agree to its terms of service.',
    ),
  email: z.email().max(254).optional().describe('Address that the authority may write to about the account.'),
  ca: filePath()
    .optional()
    .describe('File with the authority that signed the certificate of the ACME server itself, PEM, for private ones.'),
  externalAccount: z
    .strictObject({
      keyId: z.string().min(1).max(1_000).describe('Key identifier that the authority gave.'),
      hmacKey: secret().describe('The key that goes with it, base64url.'),
    })
    .optional()
    .describe('Account at the authority that ACME accounts are bound to (RFC 8555 §7.3.4), where it asks for one.'),
  challenges: z
    .array(z.enum(['http-01', 'tls-alpn-01']))
    .min(1)
    .max(2)
    .optional()
    .describe(
      'How names are proved: `http-01` (the authority asks port 80), `tls-alpn-01` (port 443). Several are tried in turn. Default: both, or `tls-alpn-01` alone where no listener is without TLS; `dns-01` with `dns`.',
    ),
  dns: z
    .strictObject({
      command: z
        .array(z.string().min(1).max(4_096))
        .min(1)
        .max(20)
        .describe(
          'Program and arguments that change the zone; called without a shell, with `set NAME VALUE` or `remove NAME VALUE` added, where NAME is `_acme-challenge.example.com`. Exit code 0 means done.',
        ),
      wait: duration({ max: 3_600_000 }).prefault('30s').describe('Time that a record takes to be seen everywhere.'),
      timeout: duration({ min: 1_000, max: 600_000 }).prefault('1m').describe('Longest run of the program.'),
    })
    .optional()
    .describe('Proves names by TXT records (`dns-01`), which wildcards need.'),
  key: z
    .enum(['ecdsa', 'rsa'])
    .prefault('ecdsa')
    .describe('Kind of private key: `ecdsa` (P-256) or `rsa` (2048 bits).'),
  renewAt: ratio()
    .prefault('33%')
    .describe('Share of its lifetime that a certificate has left when it is renewed; spread by a tenth at random.'),
  store: z
    .enum(['auto', 'dataDir', 'sql'])
    .prefault('auto')
    .describe(
      'Where account, keys and certificates are kept: files in `gateway.dataDir`, or the database of `stores.sql`, which several gateways share. `auto`: the database if it is PostgreSQL.',
    ),
});

export const acmeSection = defineSection({
  at: 'top',
  key: 'acme',
  schema: acmeOptions.describe('Certificates from an authority by ACME (RFC 8555), for listeners with `tls: auto`.'),
  /** Null: no listener says `auto`. */
  compile(given, context): AcmePlan | null {
    const document = context.document as unknown as NamingDocument & {
      readonly stores?: { readonly sql?: string };
      readonly identity?: { readonly masterKey?: string };
    };
    if (document === undefined || !usesAuto(document)) {
      if (given !== undefined) context.warning('has no effect: no listener has tls: auto');
      return null;
    }
    const options = given ?? acmeOptions.parse({});
    const names = allNames(document);
    const wildcard = names.find((name) => name.startsWith('*.'));
    if (wildcard !== undefined && options.dns === undefined) {
      context.problem(`a certificate for ${wildcard} needs a proof by DNS`, { expected: 'acme.dns with a command' });
    }
    if (options.dns !== undefined && options.challenges !== undefined) {
      context.problem('cannot stand beside dns', { at: ['challenges'] });
    }
    const listensInPlain = (document.gateway.listeners ?? []).some(({ tls }) => tls === undefined);
    const challenges: readonly ChallengeKind[] =
      options.dns !== undefined
        ? ['dns-01']
        : (options.challenges ?? (listensInPlain ? ['http-01', 'tls-alpn-01'] : ['tls-alpn-01']));
    if (challenges.includes('http-01')) {
      if (!listensInPlain)
        context.problem('http-01 needs a listener without TLS, reached on port 80', { at: ['challenges'] });
      context.addRoute({
        id: `${ACME_SERVICE}/challenge`,
        service: ACME_SERVICE,
        path: '/.well-known/acme-challenge/*',
        methods: ['GET', 'HEAD'],
        movedBy: 'acme.challenges',
        goesFirst: true,
        isOperations: true,
        // Where gateways share a database each made-up token is a question to it; an authority asks a few times.
        limits: [{ paths: '^/', limit: 120, windowMs: 60_000, burst: 120, scope: ACME_SERVICE }],
      });
    }
    const sql = document.stores?.sql ?? '';
    const isPostgres = /^postgres(ql)?:/.test(sql);
    const inDatabase = options.store === 'sql' || (options.store === 'auto' && isPostgres);
    if (inDatabase && sql === '') context.problem('needs stores.sql', { at: ['store'], got: '"sql"' });
    const masterKey = document.identity?.masterKey ?? context.env['GATEHOUSE_MASTER_KEY'] ?? '';
    if (inDatabase && isPostgres && masterKey.length < 32) {
      context.problem('private keys in a shared database are sealed with a key that all gateways have', {
        at: ['store'],
        expected: 'GATEHOUSE_MASTER_KEY with at least 32 characters, or store: dataDir',
      });
    }
    const ca = options.ca === undefined ? undefined : context.readAuthorities('ca', options.ca);
    return {
      names,
      directory: directoryOf(options.server),
      email: options.email ?? null,
      ca: ca === undefined ? null : context.secret('ca', ca),
      externalAccount:
        options.externalAccount === undefined
          ? null
          : {
              keyId: options.externalAccount.keyId,
              hmacKey: context.secret('hmacKey', options.externalAccount.hmacKey),
            },
      challenges,
      dns:
        options.dns === undefined
          ? null
          : { command: options.dns.command, waitMs: options.dns.wait, timeoutMs: options.dns.timeout },
      key: options.key,
      renewAtRatio: options.renewAt,
      storeUrl: inDatabase ? context.secret('store', sql) : null,
      masterKey: inDatabase && masterKey !== '' ? context.secret('masterKey', masterKey) : null,
    };
  },
});

export function directoryOf(server: string): string {
  return DIRECTORIES[server] ?? server;
}
