import type { Example } from '../run.ts';
import { FIRST_PORT, localInstances, serviceAddresses } from './instances.ts';

const instances = localInstances(Number(process.env['FIRST_PORT'] || FIRST_PORT));
const down = instances.find(({ isStarted }) => !isStarted)!;
const port = Number(process.env['GATEWAY_PORT'] || process.env['PORT'] || 3000);
const url = `http://127.0.0.1:${port}`;
const registryToken = process.env['GATEHOUSE_REGISTRY_TOKEN'] || 'only-for-this-example';

export default {
  title: 'The Enhanced API Gateway: five services behind the four algorithms and one of our own.',
  services: instances
    .filter(({ isStarted }) => isStarted)
    .map(({ name, service, port: own }) => ({
      name,
      file: `services/${service}.ts`,
      port: own,
      env: { INSTANCE: name },
    })),
  configuration: 'gatehouse.ts',
  port,
  setUp: 'set-up.ts',
  env: {
    SERVICE_ADDRESSES: serviceAddresses(instances),
    DEMO_ACCOUNT: 'true',
    GATEHOUSE_REGISTRY_TOKEN: registryToken,
  },
  tries: [
    `TOKEN=$(curl -s ${url}/api/v1/auth/login -H 'Content-Type: application/json' \\`,
    `  -d '{"username":"admin","password":"admin123"}' | grep -o '"accessToken":"[^"]*"' | cut -d'"' -f4)`,
    `curl -i ${url}/api/v1/projects -H "Authorization: Bearer $TOKEN"    # again and again: Served-By changes`,
    `curl -s ${url}/api/v1/projects -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{"name":"Bridge"}'`,
    `curl -s ${url}/metrics; curl -s ${url}/metrics/prometheus`,
    `curl -s ${url}/health/detailed      # ${down.name} is down; it was not started. Start it, and look again:`,
    `PORT=${down.port} INSTANCE=${down.name} npx node examples/enhanced/services/${down.service}.ts`,
    '# More, such as breakers and drills: examples/enhanced/README.md',
  ],
} satisfies Example;
