/**
 * Which addresses may be registered. A registration makes the gateway send requests there, so a client with the token
 * could point it at places that only the gateway reaches: link-local ones (cloud metadata services live there, under
 * well-known names too) are never allowed, in any spelling that a translator or tunnel turns into them, nor is the
 * gateway itself, and a service may name the blocks that are.
 */
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { readAddress } from '../../../base/address-words.ts';
import { CidrSet, canonicalAddress } from '../../../base/ip.ts';

/** Link-local, unspecified, multicast, broadcast: no instance lives there. */
const NEVER = new CidrSet([
  '169.254.0.0/16',
  '0.0.0.0/8',
  '224.0.0.0/4',
  '240.0.0.0/4',
  'fe80::/10',
  'ff00::/8',
  '::',
  // Metadata services in blocks that are otherwise private: AWS over IPv6, Alibaba, Oracle.
  'fd00:ec2::254',
  '100.100.100.200',
  '192.0.0.192',
]);

/** Names that metadata services have inside the networks of their providers. */
const METADATA_NAMES = new Set([
  'metadata',
  'metadata.google.internal',
  'metadata.goog',
  'metadata.azure.internal',
  'metadata.azure.com',
  'metadata.tencentyun.com',
  'metadata.packet.net',
  'metadata.platformequinix.com',
  'instance-data',
  'instance-data.ec2.internal',
]);

/** Where the gateway itself listens. */
export interface OwnAddress {
  readonly host: string;
  readonly port: number;
}

/** `url` is canonical. Says what was expected instead, or nothing; an empty `allow` allows all but the above. */
export function addressProblem(url: string, allow: CidrSet, own: readonly OwnAddress[] = []): string | undefined {
  const { hostname, port, protocol } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
  const address = isIP(host) === 0 ? undefined : canonicalAddress(host);
  if (isOwn(address ?? host, Number(port) || (protocol === 'https:' ? 443 : 80), own))
    return 'a URL of an instance, not of the gateway itself';
  if (address === undefined) {
    if (METADATA_NAMES.has(host)) return 'a URL whose host is not the name of a metadata service';
    return allow.isEmpty ? undefined : 'a URL with an IP address as its host, since `allow` is set';
  }
  if ([address, ...embedded(address)].some((each) => NEVER.has(each)))
    return 'a URL whose host is not a link-local, multicast or unspecified address';
  if (!allow.isEmpty && !allow.has(address)) return 'a URL whose host is inside the blocks that `allow` names';
  return undefined;
}

/** A request sent there would come back here. */
function isOwn(host: string, port: number, own: readonly OwnAddress[]): boolean {
  return own.some((listening) => {
    if (listening.port !== port) return false;
    const bound = canonicalAddress(listening.host) ?? listening.host;
    if (bound === host) return true;
    const isLoopback = host === 'localhost' || host === '::1' || host.startsWith('127.');
    const isAnywhere = bound === '0.0.0.0' || bound === '::';
    if (isLoopback) return isAnywhere || bound === '127.0.0.1' || bound === '::1' || bound === 'localhost';
    return isAnywhere && machineAddresses().has(host);
  });
}

function machineAddresses(): Set<string> {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return new Set(all.map(({ address }) => canonicalAddress(address) ?? address));
}

const WORDS = new Int32Array(4);

/**
 * IPv4 addresses that an IPv6 one stands for: NAT64 (RFC 6052 §2.1, RFC 8215), 6to4 (RFC 3056), Teredo (RFC 4380),
 * IPv4-compatible (RFC 4291 §2.5.5.1) and ISATAP (RFC 5214 §6.1). Mapped ones are canonical as IPv4 already.
 */
function embedded(address: string): string[] {
  if (readAddress(address, WORDS) !== 6) return [];
  const [first, second, third, last] = [...WORDS].map((word) => word >>> 0) as [number, number, number, number];
  const found: string[] = [];
  const top = first >>> 16;
  const isCompatible = first === 0 && second === 0 && third === 0 && last > 1;
  if (isCompatible || first === 0x0064ff9b || (third & 0xfcffffff) === 0x00005efe) found.push(dotted(last));
  if (top === 0x2002) found.push(dotted(((first << 16) | (second >>> 16)) >>> 0));
  if (first === 0x20010000) found.push(dotted(second), dotted(~last >>> 0));
  return found;
}

const dotted = (word: number): string => [24, 16, 8, 0].map((shift) => (word >>> shift) & 255).join('.');
