/**
 * What the machine knows of names beside its name servers: the hosts file (hosts(5)), and the domains in which a short
 * name is looked for (`search` and `ndots` of resolv.conf(5)). Node's resolver, which alone tells the TTL of records,
 * looks at neither. The files are read anew for each look-up: they are small, and change while a machine runs.
 */
import { readFile } from 'node:fs/promises';
import { isIPv4, isIPv6 } from 'node:net';

export interface SystemFiles {
  readonly hosts: string;
  readonly resolver: string;
}

export const SYSTEM_FILES: SystemFiles = {
  hosts: process.platform === 'win32' ? 'C:\\Windows\\System32\\drivers\\etc\\hosts' : '/etc/hosts',
  resolver: '/etc/resolv.conf',
};

/** As resolv.conf(5) bounds it. */
const MOST_NDOTS = 15;

/** Addresses of a name in the hosts file; empty when it is not there, or there is no file. */
export async function hostsAddresses(files: SystemFiles, name: string, type: 'A' | 'AAAA'): Promise<string[]> {
  const wanted = withoutDot(name).toLowerCase();
  const isFamily = type === 'A' ? isIPv4 : isIPv6;
  return linesOf(await contentOf(files.hosts)).flatMap(([address = '', ...names]) =>
    isFamily(address) && names.some((each) => each.toLowerCase() === wanted) ? [address] : [],
  );
}

/** The names under which a name is asked for, in order. One that ends with a dot is complete. */
export async function namesToAsk(files: SystemFiles, name: string): Promise<string[]> {
  if (name.endsWith('.')) return [withoutDot(name)];
  let domains: readonly string[] = [];
  let ndots = 1;
  for (const [key, ...values] of linesOf(await contentOf(files.resolver))) {
    // The last of either wins.
    if (key === 'search' || key === 'domain') domains = values.map(withoutDot).filter((domain) => domain !== '');
    if (key !== 'options') continue;
    const written = values.map((value) => /^ndots:(\d+)$/.exec(value)?.[1]).findLast((value) => value !== undefined);
    if (written !== undefined) ndots = Math.min(Number(written), MOST_NDOTS);
  }
  const inDomains = domains.map((domain) => `${name}.${domain}`);
  const isLong = name.split('.').length - 1 >= ndots;
  return isLong ? [name, ...inDomains] : [...inDomains, name];
}

/** The words of each line without its comment. */
function linesOf(text: string): string[][] {
  return text.split('\n').map((line) =>
    line
      .replace(/[#;].*/, '')
      .trim()
      .split(/\s+/),
  );
}

function contentOf(file: string): Promise<string> {
  return readFile(file, 'utf8').catch(() => '');
}

function withoutDot(name: string): string {
  return name.endsWith('.') ? name.slice(0, -1) : name;
}
