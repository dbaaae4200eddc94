/** The text that `gatehouse init` writes. A test starts from it: it must load as it is. */

export const SCHEMA_FILE = 'gatehouse.schema.json';

export const INITIAL_CONFIG = `# yaml-language-server: $schema=./${SCHEMA_FILE}
#
# Configuration of a Gatehouse gateway.
#   gatehouse check     says what is wrong with it
#   gatehouse start     runs it
#   gatehouse reload    makes a running gateway take a change up
#
# Durations are 250ms, 5s, 1.5h; sizes 64kb, 10mb. \${NAME:-default} is an environment variable.
# PORT, HOST, WORKERS, LOG_LEVEL and others win over what is written here.

gateway:
  port: 8000
  # One worker thread for each processor. Or a number.
  workers: auto
  # One JSON object a line for each request: off, stdout, or { file: access.log }.
  accessLog: stdout
  # Proxies in front of this gateway, whose X-Forwarded-For is believed.
  # trustProxy: [10.0.0.0/8]
  # HTTPS instead of port:
  # listeners:
  #   - { port: 8443, tls: { certificates: [{ cert: cert.pem, key: key.pem }] } }

# The services behind the gateway, by name.
services:
  example:
    instances:
      - { url: http://127.0.0.1:4001 }
      # - { url: http://127.0.0.1:4002, weight: 2 }
    # Deadlines. total: off lets downloads and event streams run.
    timeouts: { connect: 1s, firstByte: 10s }
    # One more try when nothing can have happened yet, within 20% of the traffic.
    retries: { attempts: 1, budget: 20% }
    # circuitBreaker: { errorThresholdPercentage: 50, resetTimeout: 30s }

# Which requests go where. A route has a match and one action: service, respond, redirect or builtin.
routes:
  - match: { path: /api/example/* }
    service: example
    rewrite: { stripPrefix: /api/example }
    # Anybody may call.
    auth: public

  - match: { path: /, methods: [GET] }
    respond: { body: "The gateway runs. Its state is at /health.\\n" }
    auth: public
`;

/** The same in TypeScript, for `--ts`. */
export const INITIAL_TYPESCRIPT = `import { defineConfig } from 'gatehouse';

// Hover a key to see what it means; a wrong one does not compile. PORT, WORKERS, LOG_LEVEL and others win over this
// file.
export default defineConfig({
  gateway: { port: 8000, workers: 'auto', accessLog: 'stdout' },
  services: {
    example: {
      instances: [{ url: 'http://127.0.0.1:4001' }],
      timeouts: { connect: '1s', firstByte: '10s' },
      retries: { attempts: 1, budget: '20%' },
    },
  },
  routes: [
    {
      match: { path: '/api/example/*' },
      service: 'example',
      rewrite: { stripPrefix: '/api/example' },
      auth: 'public',
    },
    {
      match: { path: '/', methods: ['GET'] },
      respond: { body: 'The gateway runs. Its state is at /health.\\n' },
      auth: 'public',
    },
  ],
});
`;
