/**
 * StoryVerse as many processes on this machine, until Ctrl-C: `npm run storyverse:scaled`. Needs the programs of Redis
 * and PostgreSQL, which it starts for itself in a folder that is gone afterwards. Ports: 8001 and 8002 (gateways), 8081
 * (identity), 8082 (limits), 4201 to 4204 (services); GATEWAY_1_PORT, IDENTITY_PORT and so on set others.
 */
import { startScaled } from './scaled/system.ts';

const PORTS: Readonly<Record<string, number>> = {
  'gateway-1': 8001,
  'gateway-2': 8002,
  identity: 8081,
  limits: 8082,
  'stories-1': 4201,
  'stories-2': 4202,
  'library-1': 4203,
  'generator-1': 4204,
};

console.log('StoryVerse, apart:\n');
const system = await startScaled({
  command: ['bin/gatehouse.js'],
  port: (name) => Number(process.env[`${name.toUpperCase().replace('-', '_')}_PORT`] ?? PORTS[name] ?? 0),
  print: (line) => console.log(line),
});
const [one, two] = system.gateways.map(({ url }) => url);
console.log(`
Try, in another terminal: sign in at one gateway and go on at the other; end one with kill; look at what each counts.

  TOKEN=$(curl -s ${one}/api/auth/register -H 'Content-Type: application/json' \\
    -d '{"email":"ada@example.com","username":"ada","password":"ancient walrus paints 9 fences"}' | grep -o '"accessToken":"[^"]*"' | cut -d'"' -f4)
  curl -i ${two}/api/stories -H "Authorization: Bearer $TOKEN"
  curl -s ${one}/metrics/prometheus | grep gatehouse_limit
  curl -s ${two}/api/v1/usage -H "Authorization: Bearer $TOKEN"       # from the limits process
  curl -s ${system.identity.url}/metrics; curl -s ${system.limits.url}/metrics
  npx node examples/storyverse/load.ts ${one} ${two}

Ctrl-C ends it.
`);

let ending = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (ending) return;
    ending = true;
    void system.stop();
  });
}
