/**
 * `gateway.listeners`: an address, and TLS or the PROXY protocol on it. compile/listeners.ts reads certificate files
 * and compares them with their keys.
 */
import { isIP } from 'node:net';
import * as z from 'zod';
import { filePath } from './fields.ts';

export function port(): z.ZodInt {
  return z.int().min(0).max(65_535);
}

export function host() {
  return z
    .string()
    .max(253)
    .refine((text) => isIP(text) !== 0 || /^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(text), {
      error: 'must be an address such as 127.0.0.1 or ::, or a host name',
    });
}

const serverName = z
  .string()
  .max(253)
  .regex(/^(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/, 'must be a host name or *.domain')
  .transform((name) => name.toLowerCase());

const certificate = z.strictObject({
  cert: filePath().describe('File with the certificate and its chain, PEM.'),
  key: filePath().describe('File with its private key, PEM, not encrypted.'),
  names: z
    .array(serverName)
    .min(1)
    .max(1_000)
    .optional()
    .describe(
      'Server names (SNI) that get this certificate; `*.example.com` is possible. Default: the names in the certificate.',
    ),
});

const auto = z
  .union([z.boolean(), z.array(serverName).min(1).max(1_000)])
  .optional()
  .describe(
    'Certificates that the gateway gets and renews itself by ACME (section `acme`): `true` for the hosts of the routes, or names. Names in `certificates` are left out.',
  );

const tlsOptions = z.strictObject({
  auto,
  certificates: z
    .array(certificate)
    .min(1)
    .max(1_000)
    .optional()
    .describe('Certificates by server name. The first one also answers when no name fits. Needed without `auto`.'),
  minVersion: z.enum(['1.2', '1.3']).prefault('1.2').describe('Oldest version of TLS.'),
  clientCertificate: z
    .enum(['off', 'optional', 'required'])
    .prefault('off')
    .describe('Whether callers are asked for a certificate, and may go on without one.'),
  clientCa: filePath()
    .optional()
    .describe(
      'File with the authorities that client certificates must chain to, PEM. Needed unless `clientCertificate` is off.',
    ),
});

const tls = z.union([
  z.literal('auto').transform(() => tlsOptions.parse({ auto: true })),
  tlsOptions.check((context) => {
    const { auto, certificates } = context.value;
    if (certificates !== undefined || (auto !== undefined && auto !== false)) return;
    context.issues.push({
      code: 'custom',
      input: context.value,
      message: 'the key "certificates" is missing',
      params: { expected: 'certificates, or auto: true' },
    });
  }),
]);

export const listener = z.strictObject({
  name: z
    .string()
    .max(100)
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'must be a name of letters, digits, ".", "_" and "-"')
    .optional()
    .describe('Name in logs and status. Default: address and port.'),
  port: port().describe('Port to listen on; 0 lets the system choose.'),
  host: host().prefault('0.0.0.0').describe('Address to listen on.'),
  tls: tls.optional().describe('HTTPS on this address; `auto` is short for `{ auto: true }`.'),
  protocols: z
    .array(z.enum(['h2', 'h1']))
    .min(1)
    .max(2)
    .refine((names) => new Set(names).size === names.length, { error: 'must not name a protocol twice' })
    .prefault(['h2', 'h1'])
    .describe(
      'What clients may speak here: HTTP/2, HTTP/1.1 or both. With TLS the first one that the client offers as well is used (ALPN); without it HTTP/2 is taken from clients that begin with it (prior knowledge).',
    ),
  proxyProtocol: z
    .boolean()
    .prefault(false)
    .describe('Reads a PROXY protocol header (v1 or v2) first; then only peers in `gateway.trustProxy` may connect.'),
});

export type ListenerOptions = z.output<typeof listener>;
export type ListenerTlsOptions = z.output<typeof tlsOptions>;
