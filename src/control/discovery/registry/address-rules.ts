/**
 * Which addresses may be registered. A registration makes the gateway send requests there, so whoever has the token
 * could point it at places that only the gateway reaches: link-local ones (cloud metadata services live there) are
 * never allowed, and a service may name the blocks that are.
 */
import { isIP } from 'node:net';
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
  // AWS's metadata service over IPv6, in a block that is otherwise private.
  'fd00:ec2::254',
]);

/** `url` is canonical. Says what was expected instead, or nothing; an empty `allow` allows all but the above. */
export function addressProblem(url: string, allow: CidrSet): string | undefined {
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '');
  const address = isIP(host) === 0 ? undefined : canonicalAddress(unmapped(host));
  if (address === undefined)
    return allow.isEmpty ? undefined : 'a URL with an IP address as its host, since `allow` is set';
  if (NEVER.has(address)) return 'a URL whose host is not a link-local, multicast or unspecified address';
  if (!allow.isEmpty && !allow.has(address)) return 'a URL whose host is inside the blocks that `allow` names';
  return undefined;
}

/** URLs write `::ffff:169.254.1.1` as `::ffff:a9fe:101`; it is the IPv4 address all the same. */
function unmapped(address: string): string {
  const match = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(address);
  if (match === null) return address;
  const high = Number.parseInt(match[1] ?? '', 16);
  const low = Number.parseInt(match[2] ?? '', 16);
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}
