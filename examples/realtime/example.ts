import type { Example } from '../run.ts';

const ADA = 'ada-0123456789abcdef0123456789abcdef';
const TRAINER = 'trainer-0123456789abcdef0123456789ab';
/** Of this example alone: make one with `echo whsec_$(openssl rand -base64 32)`. */
const AUDIT_SECRET = 'whsec_ZXhhbXBsZS1zZWNyZXQtb2YtdGhpcnR5LXR3by1ieXRlcw==';

export default {
  title: 'The progress of a training in real time: hub, signed deliveries.',
  services: [
    { name: 'trainer', file: 'services/trainer.ts', port: 4021, env: { TRAINER_KEY: TRAINER } },
    { name: 'audit', file: 'services/audit.ts', port: 4022, env: { AUDIT_SECRET } },
  ],
  configuration: 'gatehouse.yaml',
  port: 8000,
  env: { API_KEY_1: `${ADA}:ada:read:standard`, API_KEY_2: `${TRAINER}:trainer:training:standard`, AUDIT_SECRET },
  tries: [
    `KEY=${ADA} npx node examples/realtime/client.ts        # what ada gets, in another terminal`,
    `curl -i -X POST -H 'x-api-key: ${ADA}' http://127.0.0.1:8000/train`,
    `curl -s -H 'x-api-key: ${ADA}' http://127.0.0.1:8000/audit        # signed deliveries, verified`,
    '# http://127.0.0.1:8000/ shows the same in a browser',
  ],
} satisfies Example;
