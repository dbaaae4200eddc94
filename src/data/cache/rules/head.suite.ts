/** For tests: a parsed head from its field lines. */
import { Head, readRequestHead, readResponseHead } from '../../parser/head.ts';

const LIMITS = { maxHeadBytes: 65_536, maxTargetBytes: 8_192, maxFields: 100 };

export function responseHead(status: number, ...lines: string[]): Head {
  const bytes = Buffer.from(
    `HTTP/1.1 ${status} Reason\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`,
    'latin1',
  );
  const head = new Head(100);
  if (readResponseHead(bytes, 0, bytes.length, LIMITS, head) <= 0) throw new Error(head.detail);
  return head;
}

export function requestHead(method: string, target: string, ...lines: string[]): Head {
  const bytes = Buffer.from(
    `${method} ${target} HTTP/1.1\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`,
    'latin1',
  );
  const head = new Head(100);
  if (readRequestHead(bytes, 0, bytes.length, LIMITS, head) <= 0) throw new Error(head.detail);
  return head;
}
