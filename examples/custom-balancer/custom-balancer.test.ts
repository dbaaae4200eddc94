import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { startTestGateway } from '../../test/support/gateway.ts';
import { httpUpstream } from '../../test/support/upstream.ts';

interface Document {
  services: { renderer: { instances: { url: string }[]; loadBalancing: { file: string } } };
  [section: string]: unknown;
}

it('the example sends what needs a gpu to the instance that has one, and everything else elsewhere', async (test) => {
  const here = new URL('.', import.meta.url);
  const document = parse(readFileSync(new URL('gatehouse.yaml', here), 'utf8')) as Document & { gateway: unknown };
  const { renderer } = document.services;
  // The same configuration, on ports of its own.
  for (const [i, instance] of renderer.instances.entries()) {
    instance.url = (await httpUpstream(test, (_request, response) => response.end(`instance ${i + 1}`))).url;
  }
  renderer.loadBalancing.file = fileURLToPath(new URL(renderer.loadBalancing.file, here));
  const { url } = await startTestGateway(test, { ...document, gateway: {} });

  const ask = async (headers: Record<string, string>): Promise<string> => {
    const response = await fetch(`${url}/render/frame/1`, { headers });
    assert.equal(response.status, 200);
    return response.text();
  };
  const plain = new Set<string>();
  for (let i = 0; i < 20; i++) {
    assert.equal(await ask({ 'X-Needs': 'gpu' }), 'instance 1');
    plain.add(await ask({}));
  }
  assert.deepEqual([...plain].sort(), ['instance 2', 'instance 3']);
});
