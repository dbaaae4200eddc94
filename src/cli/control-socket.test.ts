// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is the syntax under test
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { UnreachableError } from './command.ts';
import { commandLine } from './command-line.suite.ts';
import { callGateway } from './control-socket.ts';

const cli = commandLine();
after(() => cli.remove());

/** Answers every request with what `answer` gives. */
async function gatewayAt(path: string, answer: () => string) {
  const server = createServer((_, response) => void response.end(answer())).listen(path);
  await once(server, 'listening');
  after(() => server.close());
}

test('without a gateway, status and reload say so and give 3', async () => {
  for (const command of ['status', 'reload']) {
    const { code, err } = await cli.run(command);
    assert.equal(code, 3);
    assert.match(err, /^no gateway answers at .*data\/gatehouse\.sock: there is no such socket/);
  }
});

test('the data folder that the configuration names tells which gateway is meant, even while the file is wrong', async () => {
  mkdirSync(join(cli.folder, 'elsewhere/state'), { recursive: true });
  writeFileSync(join(cli.folder, 'elsewhere/g.yaml'), 'gateway: { dataDir: ./${STATE:-state}, prot: 1 }\n');
  await gatewayAt(join(cli.folder, 'elsewhere/state/gatehouse.sock'), () => '{"name":"elsewhere"}');
  const { code, out } = await cli.run('status', 'elsewhere/g.yaml', '--json');
  assert.deepEqual([code, JSON.parse(out)], [0, { name: 'elsewhere' }]);
});

test('--socket names it outright', async () => {
  const socket = join(cli.folder, 'own.sock');
  await gatewayAt(socket, () => '{"name":"own"}');
  assert.deepEqual(JSON.parse((await cli.run('status', '--socket', 'own.sock', '--json')).out), { name: 'own' });
});

test('an answer that is not JSON is no gateway’s', async () => {
  const socket = join(cli.folder, 'odd.sock');
  await gatewayAt(socket, () => '<html>');
  await assert.rejects(callGateway(socket, 'GET', '/status'), UnreachableError);
});
