/**
 * A RabbitMQ server of its own for a test: the installed one with node name, ports, port mapper and folder of its own.
 * It takes some seconds to start. Can be paused, killed and started again with what was on its disk. A kill waits until
 * the server's streams are on its disk, a second after its first one was declared: it does not start them otherwise.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { type BrokerServer, endChild, listening } from './nats.ts';
import { freePorts } from './ports.ts';
import { until } from './until.ts';

const run = promisify(execFile);
const WRITTEN_MS = 60_000;

/** Debian's wrapper changes the user; the script behind it does not. */
const SCRIPTS = [
  '/usr/lib/rabbitmq/bin/rabbitmq-server',
  '/usr/local/sbin/rabbitmq-server',
  '/opt/homebrew/sbin/rabbitmq-server',
];

export interface RabbitServer extends BrokerServer {
  /** With all of its data. */
  readonly folder: string;
  /** Whether its disk is short of room, as it says: publishers are blocked until it is not. */
  diskAlarm(isOn: boolean): Promise<void>;
  /** On a channel that is opened from now on: a larger message ends it. */
  mostBytes(bytes: number): Promise<void>;
}

export async function startRabbit(): Promise<RabbitServer> {
  const script = SCRIPTS.find((path) => existsSync(path));
  if (script === undefined)
    throw new Error('rabbitmq-server was not found; install it with: apt-get install rabbitmq-server');
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-rabbit-'));
  const [port, distribution, mapper] = (await freePorts(3)) as [number, number, number];
  mkdirSync(join(folder, 'home'));
  writeFileSync(join(folder, 'rabbitmq.conf'), `listeners.tcp.1 = 127.0.0.1:${port}\nlog.console = false\n`);
  writeFileSync(join(folder, 'enabled_plugins'), '[].\n');
  const node = `gatehouse-${port}@localhost`;
  const env = {
    PATH: process.env['PATH'] ?? '/usr/bin:/bin',
    HOME: join(folder, 'home'),
    ERL_EPMD_PORT: String(mapper),
    RABBITMQ_NODENAME: node,
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_DIST_PORT: String(distribution),
    RABBITMQ_MNESIA_BASE: join(folder, 'data'),
    RABBITMQ_LOG_BASE: join(folder, 'log'),
    RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq.conf'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'enabled_plugins'),
    RABBITMQ_PID_FILE: join(folder, 'pid'),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '+S 1:1 +sbwt none',
  };
  // The port mapper of Erlang: as a child, so that it ends with the test.
  const names = spawn('epmd', ['-address', '127.0.0.1', '-port', String(mapper)], { stdio: 'ignore', env });
  await listening(mapper, names);
  const launch = async (): Promise<ChildProcess> => {
    // In a group of its own: the script starts Erlang, which starts helpers.
    const child = spawn(script, [], { stdio: 'ignore', env, detached: true });
    await listening(port, child);
    return child;
  };
  const signal = (child: ChildProcess, name: NodeJS.Signals): void => {
    try {
      process.kill(-child.pid!, name);
    } catch {
      // It has ended.
    }
  };
  const kill = async (child: ChildProcess): Promise<void> => {
    signal(child, 'SIGKILL');
    await endChild(child);
  };
  // Who runs the streams is written at once to one file and later to the other, from which it is started again. Without
  // it their queues are there and "down or inaccessible" for good (seen with 3.10).
  const writes = (file: string): boolean => {
    const path = join(folder, 'data', node, 'coordination', node, file);
    return existsSync(path) && readFileSync(path).includes('rabbit_stream_coordinator');
  };
  const streamsAreWritten = (): boolean => !writes('meta.dets') || writes('names.dets');
  const evaluate = async (words: string): Promise<void> => {
    await run(join(dirname(script), 'rabbitmqctl'), ['--node', node, 'eval', words], { env });
  };
  let child = await launch();
  return {
    url: `amqp://guest:guest@127.0.0.1:${port}`,
    folder: join(folder, 'data'),
    pause: () => signal(child, 'SIGSTOP'),
    resume: () => signal(child, 'SIGCONT'),
    async kill() {
      await until(streamsAreWritten, 'the streams of RabbitMQ on its disk', WRITTEN_MS);
      await kill(child);
    },
    async start() {
      child = await launch();
    },
    diskAlarm(isOn) {
      const alarm = '{resource_limit, disk, node()}';
      return evaluate(isOn ? `rabbit_alarm:set_alarm({${alarm}, []}).` : `rabbit_alarm:clear_alarm(${alarm}).`);
    },
    mostBytes: (bytes) => evaluate(`application:set_env(rabbit, max_message_size, ${bytes}).`),
    async stop() {
      await kill(child);
      await endChild(names);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
