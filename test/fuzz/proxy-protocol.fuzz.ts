/**
 * PROXY headers: text and binary, whole and in pieces. Whatever comes, the answer is one of three, the length lies
 * inside the bytes, an address is an address, and what follows the header does not change how it is read.
 */
import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { type ProxyHeader, readProxyHeader } from '../../src/data/listener/proxy-protocol.ts';
import { corpus, type FuzzTarget } from './support/target.ts';

/** No header that is accepted may be longer (16 bytes, 36 of addresses, extensions). */
const MOST = 16 + 1_024;

export const proxyProtocol: FuzzTarget = {
  name: 'proxy-protocol',
  seeds: corpus('proxy-protocol'),
  check(input) {
    const bytes = Buffer.from(input, 'latin1');
    const whole = readProxyHeader(bytes);
    checkPieces(bytes, whole);
    if (whole.kind !== 'header') {
      if (whole.kind === 'incomplete') assert.ok(bytes.length < MOST, 'waits for more than a header may have');
      return whole.kind === 'bad' ? whole.problem : whole.kind;
    }
    assert.ok(whole.length > 0 && whole.length <= Math.min(bytes.length, MOST));
    assert.ok(whole.address === null || isIP(whole.address) !== 0, `not an address: ${whole.address}`);
    checkCanonical(whole.address);
    assert.ok(Number.isInteger(whole.port) && whole.port >= 0 && whole.port <= 65_535);
    for (const after of ['', '\r\n', 'GET / HTTP/1.1\r\n', '\0'])
      assert.deepEqual(readProxyHeader(Buffer.from(input.slice(0, whole.length) + after, 'latin1')), whole);
    if (input.startsWith('PROXY')) checkText(input.slice(0, whole.length), whole);
    return `${input.startsWith('PROXY') ? 'text' : 'binary'} ${whole.address === null ? 'unknown' : isIP(whole.address)}`;
  },
};

function checkPieces(bytes: Buffer, whole: ProxyHeader): void {
  const length = whole.kind === 'header' ? whole.length : bytes.length;
  for (let end = 0; end < length; end++) {
    const piece = readProxyHeader(bytes.subarray(0, end));
    if (piece.kind === 'incomplete') continue;
    assert.equal(piece.kind, 'bad', 'a piece of a header is a header');
    assert.equal(whole.kind, 'bad', 'a piece is refused, the whole is not');
    return;
  }
}

/** An address has one text (RFC 5952), and an IPv4 address inside an IPv6 one is that address. */
function checkCanonical(address: string | null): void {
  if (address === null || isIP(address) === 4) return;
  assert.equal(new URL(`http://[${address}]`).hostname, `[${address}]`);
  assert.doesNotMatch(address, /^::ffff:[^:]+:[^:]+$/, 'an IPv4 address in IPv6 dress');
}

/** The line as the specification of the PROXY protocol has it, section 2.1. */
function checkText(line: string, read: ProxyHeader & { kind: 'header' }): void {
  if (read.address === null) {
    assert.match(line, /^PROXY UNKNOWN(\r\n| .*\r\n$)/s);
    return;
  }
  const [, , source, destination, port] = /^PROXY (TCP4|TCP6) (\S+) (\S+) (\d+) (\d+)\r\n$/.exec(line) ?? [];
  assert.ok(isIP(source ?? '') !== 0 && isIP(destination ?? '') !== 0);
  assert.equal(Number(port), read.port);
}
