/**
 * Addresses and sets of CIDR blocks. Addresses are compared in their canonical text or as numbers, never as the
 * caller wrote them: `::ffff:192.0.2.1` and `192.0.2.1` are one address.
 */
import { BlockList, isIP, isIPv4 } from 'node:net';

/** The address without an IPv4-in-IPv6 prefix and without a zone, or `undefined` if it is none. */
export function canonicalAddress(text: string): string | undefined {
  const bare = text.startsWith('::ffff:') && isIPv4(text.slice(7)) ? text.slice(7) : text;
  const zone = bare.indexOf('%');
  const address = zone < 0 ? bare : bare.slice(0, zone);
  return isIP(address) === 0 ? undefined : address;
}

/** Checks `10.0.0.0/8`, `2001:db8::/32` or a single address; says what is wrong, or nothing. */
export function cidrProblem(text: string): string | undefined {
  const slash = text.indexOf('/');
  const address = slash < 0 ? text : text.slice(0, slash);
  const version = isIP(address);
  if (version === 0) return `"${text}" is not an address or a CIDR block such as 10.0.0.0/8`;
  if (slash < 0) return undefined;
  const bits = text.slice(slash + 1);
  const most = version === 4 ? 32 : 128;
  if (!/^\d+$/.test(bits) || Number(bits) > most) return `"${text}": the prefix length must be from 0 to ${most}`;
  return undefined;
}

/** A set of blocks with a fast answer to "is this address in it". */
export class CidrSet {
  readonly #blocks = new BlockList();
  readonly isEmpty: boolean;

  constructor(blocks: readonly string[]) {
    this.isEmpty = blocks.length === 0;
    for (const block of blocks) {
      const problem = cidrProblem(block);
      if (problem !== undefined) throw new TypeError(problem);
      const [address = '', bits] = block.split('/');
      const family = isIPv4(address) ? 'ipv4' : 'ipv6';
      if (bits === undefined) this.#blocks.addAddress(address, family);
      else this.#blocks.addSubnet(address, Number(bits), family);
    }
  }

  /** `address` must be canonical (see `canonicalAddress`). */
  has(address: string): boolean {
    if (this.isEmpty) return false;
    return this.#blocks.check(address, isIPv4(address) ? 'ipv4' : 'ipv6');
  }
}
