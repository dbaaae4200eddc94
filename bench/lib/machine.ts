/** Where figures were taken: without this a number cannot be compared with another. */
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import { pinned } from './processes.ts';
import { programVersion } from './programs.ts';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly kernel: string;
  readonly system: string;
  readonly congestionControl: string;
  readonly node: string;
  readonly openssl: string;
  /** Whether proxy and load had cores of their own. */
  readonly pinned: boolean;
}

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    system: /^PRETTY_NAME="(.*)"/m.exec(read('/etc/os-release'))?.[1] ?? process.platform,
    congestionControl: read('/proc/sys/net/ipv4/tcp_congestion_control').trim(),
    node: process.version,
    openssl: programVersion('openssl', 'version'),
    pinned,
  };
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
