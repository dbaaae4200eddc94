/**
 * Finds the servers that the tests start and the tools they call, and installs what is
 * missing where it may (root on Debian). Otherwise it says what to install and fails: no test is skipped in silence.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { helm } from './helm.ts';
import { httpCacheSuite } from './http-cache-suite.ts';

interface Need {
  readonly program: string;
  /** Debian's package. */
  readonly package: string;
  readonly why: string;
  find(): boolean;
}

function onPath(program: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => existsSync(join(folder, program)));
}

function hasPostgres(): boolean {
  const versions = existsSync('/usr/lib/postgresql') ? readdirSync('/usr/lib/postgresql') : [];
  return versions.some((version) => existsSync(`/usr/lib/postgresql/${version}/bin/initdb`)) || onPath('initdb');
}

/** Debian's Python, which has Debian's modules; another one may be first on the path. */
function hasModule(name: string): boolean {
  return spawnSync('/usr/bin/python3', ['-c', `import ${name}`]).status === 0;
}

const NEEDS: readonly Need[] = [
  {
    program: 'redis-server',
    package: 'redis-server',
    why: 'limits shared over Redis',
    find: () => onPath('redis-server'),
  },
  {
    program: 'nats-server',
    package: 'nats-server',
    why: 'events kept by NATS JetStream',
    find: () => onPath('nats-server') || existsSync('/usr/sbin/nats-server'),
  },
  {
    program: 'rabbitmq-server',
    package: 'rabbitmq-server',
    why: 'events kept by RabbitMQ streams',
    find: () => existsSync('/usr/lib/rabbitmq/bin/rabbitmq-server') || onPath('rabbitmq-server'),
  },
  { program: 'initdb', package: 'postgresql', why: 'identity on PostgreSQL', find: hasPostgres },
  { program: 'openssl', package: 'openssl', why: 'certificates for TLS tests', find: () => onPath('openssl') },
  { program: 'curl', package: 'curl', why: 'HTTP/2 by a client that is not ours', find: () => onPath('curl') },
  { program: 'nghttp', package: 'nghttp2-client', why: 'HTTP/2 by another one', find: () => onPath('h2load') },
  { program: 'python3 with h2', package: 'python3-h2', why: 'HTTP/2 by a third one', find: () => hasModule('h2') },
  { program: 'python3 with grpc', package: 'python3-grpcio', why: 'gRPC at both ends', find: () => hasModule('grpc') },
  {
    program: 'python3 with confluent_kafka',
    package: 'python3-confluent-kafka',
    why: 'the Kafka broker of librdkafka, for events',
    find: () => hasModule('confluent_kafka'),
  },
  { program: 'nginx', package: 'nginx-light', why: 'what is imported from it', find: () => onPath('nginx') },
  { program: 'pebble', package: 'pebble', why: 'certificates by ACME', find: () => onPath('pebble') },
  { program: 'promtool', package: 'prometheus', why: 'metrics, alerts and dashboards', find: () => onPath('promtool') },
  { program: 'protoc', package: 'protobuf-compiler', why: 'descriptor sets of gRPC', find: () => onPath('protoc') },
  {
    program: "protoc's own imports",
    package: 'libprotobuf-dev',
    why: 'descriptor sets of gRPC',
    find: () => existsSync('/usr/include/google/protobuf/descriptor.proto'),
  },
  {
    program: 'python3 with protobuf',
    package: 'python3-protobuf',
    why: 'JSON of messages by another hand',
    find: () => hasModule('google.protobuf'),
  },
  { program: 'zsh', package: 'zsh', why: 'completion in it', find: () => onPath('zsh') },
  { program: 'fish', package: 'fish', why: 'completion in it', find: () => onPath('fish') },
  { program: 'script', package: 'bsdutils', why: 'a terminal for completion', find: () => onPath('script') },
  { program: 'systemd-analyze', package: 'systemd', why: 'the unit', find: () => onPath('systemd-analyze') },
  { program: 'chromium', package: 'chromium', why: 'the console in a browser', find: () => onPath('chromium') },
];

const missing = NEEDS.filter((need) => !need.find());
if (missing.length > 0) {
  const packages = missing.map((need) => need.package);
  const command = `apt-get install -y --no-install-recommends ${packages.join(' ')}`;
  const mayInstall = process.getuid?.() === 0 && onPath('apt-get');
  if (!mayInstall) {
    for (const need of missing) console.error(`missing: ${need.program} (${need.why})`);
    console.error(`install it and run again:\n  sudo ${command}`);
    process.exit(1);
  }
  console.log(`installing ${packages.join(', ')}`);
  // Debian starts the servers that it installs; the tests start their own.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  execFileSync('apt-get', ['update', '-q'], { stdio: 'inherit', env });
  execFileSync('apt-get', ['install', '-y', '--no-install-recommends', ...packages], { stdio: 'inherit', env });
  const still = NEEDS.filter((need) => !need.find());
  if (still.length > 0) {
    console.error(`still missing after the installation: ${still.map((need) => need.program).join(', ')}`);
    process.exit(1);
  }
}
httpCacheSuite();
helm();
