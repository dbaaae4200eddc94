import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Example } from '../run.ts';

/** Ports and folder can be set from outside; the same variables stand in gatehouse.yaml. */
const port = (name: string, usual: number): number => Number(process.env[name] ?? usual);
const gateway = port('PORT', 8000);
const fog = port('FOG_PORT', 4502);
const url = `http://127.0.0.1:${gateway}`;
const data = process.env['AIVILLAGE_DATA'] ?? fileURLToPath(new URL('data', import.meta.url));
mkdirSync(data, { recursive: true });
/** Made anew at each start. */
const secret = (): string => randomBytes(24).toString('base64url');
const key = secret();
const env = {
  GATEWAY: url,
  AIVILLAGE_DATA: data,
  FORGE_KEY: secret(),
  FOG_KEY: secret(),
  FOG_SECRET: secret(),
  FOG_URL: `http://127.0.0.1:${fog}`,
};
const node = (number: number) => ({
  name: `fog-${number}`,
  file: 'services/fog-node.ts',
  port: port(`FOG_NODE_${number}_PORT`, 4510 + number),
  env: { ...env, NODE_NAME: `fog-${number}` },
});
const call = `-H 'X-API-Key: ${key}' -H 'Content-Type: application/json'`;

export default {
  title: 'AIVillage: models that really train, nodes that really join, files that are found again.',
  services: [
    { name: 'agent-forge', file: 'services/agent-forge.ts', port: port('FORGE_PORT', 4501), env },
    { name: 'p2p-fog', file: 'services/p2p-fog.ts', port: fog, env },
    { name: 'utility', file: 'services/utility.ts', port: port('UTILITY_PORT', 4503), env },
    node(1),
    node(2),
  ],
  configuration: 'gatehouse.yaml',
  port: gateway,
  env: {
    ...env,
    PORT: String(gateway),
    // With a Redis (REDIS_URL) several gateways share what they cache, and count limits together.
    CACHE_STORE: process.env['REDIS_URL'] === undefined ? 'memory' : 'redis',
    JWT_SECRET_KEY: process.env['JWT_SECRET_KEY'] ?? secret(),
    API_KEY_1: process.env['API_KEY_1'] ?? `${key}:user1:read,write:premium`,
  },
  tries: [
    `curl -s ${url}/health                # open to all; what follows has a key of the plan premium, made for this start`,
    `curl -s ${url}/v1/models/train ${call} -d '{"phase_name":"cognate","real_training":true,"max_steps":200,"batch_size":2}'`,
    `until curl -s ${url}/v1/models ${call} | grep -q '"state":"complete"'; do sleep 1; done`,
    `MODEL=$(curl -s ${url}/v1/models ${call} | grep -o 'cognate-model-[0-9]*' | head -n 1)`,
    `curl -s ${url}/v1/chat ${call} -d "{\\"model_id\\":\\"$MODEL\\",\\"message\\":\\"Hello, how can you help me?\\",\\"conversation_id\\":\\"conv-456\\"}"`,
    `printf 'The walrus paints nine fences.' > walrus.txt`,
    `curl -s ${url}/v1/upload -H 'X-API-Key: ${key}' -F 'file=@walrus.txt'`,
    `curl -s ${url}/v1/query ${call} -d '{"query":"walrus"}'`,
    `curl -s ${url}/v1/fog/nodes ${call}`,
    `curl -s ${url}/v1/tokens ${call}`,
  ],
} satisfies Example;
