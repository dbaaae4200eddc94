/**
 * Certificates and keys: read and compared, so that a wrong pair stops the start and not the first
 * handshake. Texts go to the secrets; nothing here repeats one.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { KeyPath } from '../../../data/contract/options.ts';
import { ENDS_SOON_MS, wordsOfEnd } from '../../certificates/ends.ts';
import { formatKey } from '../problems.ts';
import type { Compilation } from './context.ts';

/** A PEM text: the file's, or the value itself where a variable brought the text and not a path. */
function readPem(compilation: Compilation, path: KeyPath, value: string): string | undefined {
  if (value.includes('-----BEGIN')) return value;
  const text = compilation.readText(path, value);
  if (text === undefined || text.includes('-----BEGIN')) return text;
  compilation.problem(path, 'the file holds no PEM text', { got: JSON.stringify(value) });
  return undefined;
}

/** What OpenSSL takes for the beginning of a certificate. */
const CERTIFICATE = /^-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----/;
const BEFORE_CERTIFICATE = new RegExp(`(?=${CERTIFICATE.source})`, 'm');

/**
 * All certificates of a PEM text, in their order; null when one of them is not readable, such as the last one of a file
 * that is cut off: OpenSSL refuses the whole text then, and the listener has no certificate at all.
 */
export function certificatesIn(pem: string): X509Certificate[] | null {
  try {
    const blocks = pem.split(BEFORE_CERTIFICATE).filter((block) => CERTIFICATE.test(block));
    return blocks.map((block) => new X509Certificate(block));
  } catch {
    return null;
  }
}

/** All certificates of a bundle; undefined, and reported, when one is not readable. */
function readCertificates(compilation: Compilation, path: KeyPath, pem: string): X509Certificate[] | undefined {
  const certificates = certificatesIn(pem);
  if (certificates !== null && certificates.length > 0) return certificates;
  compilation.problem(
    path,
    certificates === null ? 'holds a certificate that cannot be read' : 'not a certificate in PEM',
  );
  return undefined;
}

/** Reads a certificate with its key; both are undefined when something is wrong with either. */
export function readPair(
  compilation: Compilation,
  certPath: KeyPath,
  cert: string,
  keyPath: KeyPath,
  key: string,
  nowMs: number,
): { cert: string; key: string; leaf: X509Certificate } | undefined {
  const certPem = readPem(compilation, certPath, cert);
  const keyPem = readPem(compilation, keyPath, key);
  const leaf = certPem === undefined ? undefined : readCertificates(compilation, certPath, certPem)?.[0];
  if (certPem === undefined || keyPem === undefined || leaf === undefined) return undefined;
  try {
    if (!leaf.checkPrivateKey(createPrivateKey(keyPem))) {
      compilation.problem(keyPath, 'is not the private key of the certificate');
      return undefined;
    }
  } catch {
    compilation.problem(keyPath, 'not a private key in PEM without a passphrase');
    return undefined;
  }
  watchEnd(compilation, certPath, certificateNames(leaf)[0] ?? commonName(leaf), [leaf], nowMs);
  return { cert: certPem, key: keyPem, leaf };
}

/** Reads the authorities that a peer's certificate may be from; undefined when something is wrong with them. */
export function readAuthorities(
  compilation: Compilation,
  path: KeyPath,
  value: string,
  nowMs: number,
): string | undefined {
  const pem = readPem(compilation, path, value);
  const authorities = pem === undefined ? undefined : readCertificates(compilation, path, pem);
  if (authorities === undefined) return undefined;
  // An authority that has ended stays in a bundle beside the one that follows it.
  const alive = authorities.filter(({ validTo }) => Date.parse(validTo) > nowMs);
  const all = alive.length > 0 ? alive : authorities;
  watchEnd(compilation, path, commonName(all[0]!), all, nowMs);
  return pem;
}

/** Warns of an end that is near, and keeps it for the metric; of several certificates that of the first to end. */
function watchEnd(
  compilation: Compilation,
  path: KeyPath,
  name: string,
  certificates: readonly X509Certificate[],
  nowMs: number,
): void {
  const endsAtMs = Math.min(...certificates.map(({ validTo }) => Date.parse(validTo)));
  compilation.certificates.push({ name, source: formatKey(path), endsAtMs });
  if (endsAtMs - nowMs < ENDS_SOON_MS) compilation.warning(path, `the certificate ${wordsOfEnd(endsAtMs, nowMs)}`);
}

function commonName({ subject }: X509Certificate): string {
  return /(?:^|\n)CN=([^\n]+)/.exec(subject ?? '')?.[1] ?? '';
}

/**
 * DNS names of a certificate. RFC 9525 knows alternative names only; the common name serves certificates without any.
 */
export function certificateNames(certificate: X509Certificate): string[] {
  const names = [...(certificate.subjectAltName ?? '').matchAll(/DNS:([^,\s"]+)/g)].map((match) => match[1] ?? '');
  const common = /(?:^|\n)CN=([^\n]+)/.exec(certificate.subject)?.[1];
  if (names.length === 0 && common !== undefined && !common.includes(' ')) names.push(common);
  return names.map((name) => name.toLowerCase());
}
