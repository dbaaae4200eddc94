/**
 * PROXY protocol, versions 1 (text) and 2 (binary), as HAProxy's specification of 2020 has it: says who the caller is
 * when a TCP load balancer stands in front. Strict: only whole, well-formed headers, only where a listener asks for
 * them and only from trusted peers; anything else closes the connection. Pure, bytes in.
 */
import { isIPv4, isIPv6 } from 'node:net';
import { canonicalAddress } from '../../base/ip.ts';

const V2_SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const V1_MAX = 107;
/** 16 bytes of header, 36 of addresses; room for a few TLVs, which are skipped. */
const V2_MAX = 16 + 1024;

export type ProxyHeader =
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'bad'; readonly problem: string }
  /** `address` is null for LOCAL and UNKNOWN: the peer itself is the caller (a health check of the balancer). */
  | { readonly kind: 'header'; readonly length: number; readonly address: string | null; readonly port: number };

const INCOMPLETE: ProxyHeader = { kind: 'incomplete' };

export function readProxyHeader(bytes: Buffer): ProxyHeader {
  if (bytes.length === 0) return INCOMPLETE;
  return bytes[0] === V2_SIGNATURE[0] ? readV2(bytes) : readV1(bytes);
}

function bad(problem: string): ProxyHeader {
  return { kind: 'bad', problem };
}

function readV1(bytes: Buffer): ProxyHeader {
  const prefix = 'PROXY ';
  const known = bytes.latin1Slice(0, Math.min(bytes.length, prefix.length));
  if (!prefix.startsWith(known)) return bad('no PROXY header');
  const end = bytes.indexOf('\r\n', 0, 'latin1');
  if (end < 0) return bytes.length >= V1_MAX ? bad('the PROXY line is too long') : INCOMPLETE;
  if (end > V1_MAX - 2) return bad('the PROXY line is too long');
  const words = bytes.latin1Slice(0, end).split(' ');
  if (words[1] === 'UNKNOWN') return { kind: 'header', length: end + 2, address: null, port: 0 };
  const [, family, source = '', destination = '', sourcePort = '', destinationPort = ''] = words;
  const isAddress = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isIPv6 : null;
  if (isAddress === null || words.length !== 6) return bad('the PROXY line is malformed');
  if (!isAddress(source) || !isAddress(destination)) return bad('the PROXY line has an invalid address');
  if (!isPort(sourcePort) || !isPort(destinationPort)) return bad('the PROXY line has an invalid port');
  return { kind: 'header', length: end + 2, address: canonicalAddress(source) ?? null, port: Number(sourcePort) };
}

function isPort(text: string): boolean {
  return /^(0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535;
}

function readV2(bytes: Buffer): ProxyHeader {
  const known = Math.min(bytes.length, V2_SIGNATURE.length);
  if (bytes.compare(V2_SIGNATURE, 0, known, 0, known) !== 0) return bad('no PROXY header');
  if (bytes.length < 16) return INCOMPLETE;
  const command = bytes[12]!;
  if (command >> 4 !== 2) return bad('the version of the PROXY header is not 2');
  const length = 16 + bytes.readUInt16BE(14);
  if (length > V2_MAX) return bad('the PROXY header is too long');
  if (bytes.length < length) return INCOMPLETE;
  switch (command & 0x0f) {
    case 0:
      return { kind: 'header', length, address: null, port: 0 };
    case 1:
      break;
    default:
      return bad('the PROXY command is unknown');
  }
  const family = bytes[13]! >> 4;
  if (family === 1) {
    if (length < 16 + 12) return bad('the PROXY header has no IPv4 addresses');
    return { kind: 'header', length, address: bytes.subarray(16, 20).join('.'), port: bytes.readUInt16BE(24) };
  }
  if (family === 2) {
    if (length < 16 + 36) return bad('the PROXY header has no IPv6 addresses');
    const groups = Array.from({ length: 8 }, (_, group) => bytes.readUInt16BE(16 + group * 2).toString(16));
    return {
      kind: 'header',
      length,
      address: mapped(groups) ?? new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1),
      port: bytes.readUInt16BE(48),
    };
  }
  return { kind: 'header', length, address: null, port: 0 };
}

/** An IPv4 address inside an IPv6 one is that IPv4 address. */
function mapped(groups: readonly string[]): string | null {
  if (groups.slice(0, 5).some((group) => group !== '0') || groups[5] !== 'ffff') return null;
  const high = Number.parseInt(groups[6]!, 16);
  const low = Number.parseInt(groups[7]!, 16);
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}
