/**
 * A Kafka broker for a test: the one that librdkafka brings for its own tests, in a Python process of its own. It
 * speaks the real protocol (to the versions of 2019), keeps records in memory and makes topics when they are asked for.
 * It cannot be started again with what it had, so what a killed broker keeps is not tested here. Can be paused and
 * killed.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { endChild } from './nats.ts';
import { pauseProcess } from './pause.ts';

const BROKER = `
import sys
from confluent_kafka import Producer
producer = Producer({'test.mock.num.brokers': 1, 'log_level': 0})
for broker in producer.list_topics(timeout=30).brokers.values():
    sys.stdout.write(f'{broker.host} {broker.port}\\n')
sys.stdout.flush()
sys.stdin.read()
`;

/** Debian's Python, which has Debian's modules. */
const PYTHON = '/usr/bin/python3';

export interface KafkaBroker {
  readonly url: string;
  pause(): void;
  resume(): void;
  stop(): Promise<void>;
}

export async function startKafka(): Promise<KafkaBroker> {
  const child: ChildProcess = spawn(PYTHON, ['-c', BROKER], { stdio: ['pipe', 'pipe', 'pipe'] });
  let complaint = '';
  child.stderr!.on('data', (bytes) => {
    complaint += bytes;
  });
  const failed = once(child, 'exit').then(() => {
    throw new Error(`no Kafka broker (apt-get install python3-confluent-kafka): ${complaint}`);
  });
  const [line] = (await Promise.race([once(createInterface(child.stdout!), 'line'), failed])) as [string];
  failed.catch(() => {});
  const [host, port] = line.split(' ');
  return {
    url: `kafka://${host}:${port}`,
    pause: () => pauseProcess(child.pid!),
    resume: () => child.kill('SIGCONT'),
    async stop() {
      child.kill('SIGCONT');
      child.kill('SIGKILL');
      await endChild(child);
    },
  };
}
