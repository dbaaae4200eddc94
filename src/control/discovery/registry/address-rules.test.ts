import assert from 'node:assert/strict';
import { networkInterfaces } from 'node:os';
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
    'http://100.100.100.200',
    'http://[64:ff9b::a9fe:a9fe]',
    'http://[64:ff9b:1::a9fe:a9fe]',
    'http://[2002:a9fe:a9fe::1]',
    'http://[::a9fe:a9fe]',
    'http://[::5efe:169.254.169.254]',
    'http://[fd00::200:5efe:a9fe:a9fe]',
    'http://[2001:0:a9fe:a9fe::1]',
    'http://[2001:0:102:304::5601:5601]',
  ]) {
    it(`never ${url}`, () => {
      assert.match(problem(url) ?? '', /not a link-local/);
      assert.notEqual(problem(url, '0.0.0.0/0', '::/0'), undefined);
    });
  }

  for (const name of ['metadata.google.internal', 'METADATA.google.internal.', 'metadata', 'instance-data'])
    it(`never the metadata service by its name ${name}`, () =>
      assert.match(problem(`http://${name}/`) ?? '', /metadata service/));

  it('never the gateway itself, however it is written', () => {
    const own = [
      { host: '0.0.0.0', port: 8000 },
      { host: '127.0.0.1', port: 9000 },
      { host: '::', port: 80 },
    ];
    const at = (text: string): string | undefined => addressProblem(text, new CidrSet([]), own);
    const machine = Object.values(networkInterfaces())
      .flatMap((list) => list ?? [])
      .map(({ address, family }) => (family === 'IPv6' ? `[${address.replace(/%.*/, '')}]` : address));
    for (const host of ['127.0.0.1', '127.8.9.1', 'localhost', '[::1]', '[::ffff:127.0.0.1]', ...machine]) {
      assert.match(at(`http://${host}:8000`) ?? '', /not of the gateway itself/, host);
      assert.match(at(`http://${host}`) ?? '', /not of the gateway itself/, host);
    }
    assert.match(at('http://localhost:9000') ?? '', /not of the gateway itself/);
    for (const url of ['http://127.0.0.1:8001', 'http://192.0.2.1:8000', 'https://localhost', 'http://192.0.2.1:9000'])
      assert.equal(at(url), undefined, url);
  });

  it('only those inside the named blocks, and no host names then', () => {
    assert.equal(problem('http://10.1.2.3', '10.0.0.0/8'), undefined);
    assert.equal(problem('http://[::ffff:10.1.2.3]', '10.0.0.0/8'), undefined);
    assert.match(problem('http://11.1.2.3', '10.0.0.0/8') ?? '', /inside the blocks/);
    assert.match(problem('http://localhost', '10.0.0.0/8') ?? '', /an IP address as its host/);
  });
});
