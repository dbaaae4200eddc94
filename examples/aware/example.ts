import { randomBytes } from 'node:crypto';
import type { Example } from '../run.ts';

/** Ports and folder can be set from outside; the same variables stand in gatehouse.yaml. */
const port = (name: string, usual: number): number => Number(process.env[name] ?? usual);
const first = port('AWARE_PORT', 8000);
const second = port('AWARE_PORT_2', 8001);
const machines = port('MACHINES_PORT', 4301);
const url = `http://127.0.0.1:${first}`;
const key = (): string => randomBytes(24).toString('base64url');
/** Made anew at each start: one may do everything, the other gives work and looks. */
const [operatorKey, applicationKey] = [key(), key()];
const env = {
  API_KEY_1: `${operatorKey}:operator:cluster:admin:standard`,
  API_KEY_2: `${applicationKey}:application:cluster:tasks:standard`,
};

export default {
  title: 'AWARE: two gateways, three workers, one cluster API; the workers count words and may come and go.',
  services: [
    {
      name: 'gateway-2',
      file: 'services/gateway.ts',
      port: second,
      env: { ...env, GATEWAY_PORT: String(second), GATEHOUSE_NODE: 'gateway-2' },
    },
    {
      name: 'machines',
      file: 'services/machines.ts',
      port: machines,
      env: { OPERATOR_KEY: operatorKey, GATEWAYS: `${url},http://127.0.0.1:${second}` },
    },
  ],
  configuration: 'gatehouse.yaml',
  port: first,
  env: { ...env, GATEWAY_PORT: String(first), GATEHOUSE_NODE: 'gateway-1' },
  tries: [
    `curl -s ${url}/api/v1/cluster -H 'X-API-Key: ${applicationKey}'`,
    `curl -s ${url}/api/v1/nodes -H 'X-API-Key: ${applicationKey}'`,
    `curl -s ${url}/api/v1/cluster/tasks -H 'X-API-Key: ${applicationKey}' -H 'Content-Type: application/json' -d '{"kind":"count-words","payload":{"text":"to be or not to be"}}'`,
    `curl -s -X POST http://127.0.0.1:${machines}/kill/worker-1          # kill -9; it comes back as a new process`,
    `curl -s '${url}/api/v1/cluster/events?after=0&limit=1000' -H 'X-API-Key: ${applicationKey}'`,
    `CLUSTER_KEY=${applicationKey} GATEWAYS=${url} npx node word-count.ts ../storyverse/text/tales.txt`,
  ],
} satisfies Example;
