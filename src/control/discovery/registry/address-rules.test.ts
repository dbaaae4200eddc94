import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CidrSet } from '../../../base/ip.ts';
import { readInstanceUrl } from '../instance.ts';
import { addressProblem } from './address-rules.ts';

function problem(text: string, ...allow: string[]): string | undefined {
  const read = readInstanceUrl(text);
  assert.ok('url' in read, text);
  return addressProblem(read.url, new CidrSet(allow));
}

describe('which addresses may be registered', () => {
  for (const url of [
    'http://10.0.0.1:80',
    'http://127.0.0.1:4001',
    'http://[::1]:4001',
    'http://orders.internal',
    'http://[fd00::7]',
  ]) {
    it(`${url} by default`, () => assert.equal(problem(url), undefined));
  }

  for (const url of [
    'http://169.254.169.254/latest',
    'http://2852039166',
    'http://0xa9.0xfe.0xa9.0xfe',
    'http://[::ffff:169.254.169.254]',
    'http://0.0.0.0:80',
    'http://224.0.0.1',
    'http://[fe80::1]',
    'http://[::]:80',
    'http://[fd00:ec2::254]',
  ]) {
    it(`never ${url}`, () => {
      assert.match(problem(url) ?? '', /not a link-local/);
      assert.notEqual(problem(url, '0.0.0.0/0', '::/0'), undefined);
    });
  }

  it('only those inside the named blocks, and no host names then', () => {
    assert.equal(problem('http://10.1.2.3', '10.0.0.0/8'), undefined);
    assert.equal(problem('http://[::ffff:10.1.2.3]', '10.0.0.0/8'), undefined);
    assert.match(problem('http://11.1.2.3', '10.0.0.0/8') ?? '', /inside the blocks/);
    assert.match(problem('http://localhost', '10.0.0.0/8') ?? '', /an IP address as its host/);
  });
});
