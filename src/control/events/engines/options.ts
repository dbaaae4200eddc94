/** Options of `events.engines`: brokers that keep events in place of the SQL store. */
import * as z from 'zod';
import { storeUrl } from '../../../base/store-urls.ts';
import type { SectionContext } from '../../config/section.ts';
import type { EventEngine } from './engine.ts';

export const EMBEDDED = 'embedded';

type EngineKind = 'nats' | 'redis' | 'rabbitmq' | 'kafka';

const KINDS: Readonly<Record<string, EngineKind>> = {
  nats: 'nats',
  tls: 'nats',
  redis: 'redis',
  rediss: 'redis',
  'redis+sentinel': 'redis',
  'redis+cluster': 'redis',
  'rediss+sentinel': 'redis',
  'rediss+cluster': 'redis',
  amqp: 'rabbitmq',
  amqps: 'rabbitmq',
  kafka: 'kafka',
  'kafka+tls': 'kafka',
};

/** Ways to sign in (SASL); the first is the default. */
const KAFKA_MECHANISMS = ['SCRAM-SHA-512', 'SCRAM-SHA-256', 'PLAIN'];

const url = () =>
  storeUrl(
    /^(nats|tls|amqps?|kafka(\+tls)?|rediss?(\+sentinel|\+cluster)?):\/\/\S+$/,
    'must be nats://HOST:PORT or tls://HOST:PORT (NATS with JetStream), amqp://HOST:PORT or amqps:// (RabbitMQ), kafka://HOST:PORT or kafka+tls:// (Kafka), or redis://HOST:PORT (also rediss://, redis+sentinel://, redis+cluster://)',
  );

export const engineSchema = z
  .strictObject({
    url: z
      .union([url(), z.array(url()).min(1).max(20)])
      .describe(
        'Where the broker is; its scheme says which: `nats://USER:PASSWORD@HOST:4222` or `tls://` for NATS JetStream, `redis://` for Redis Streams, `amqp://USER:PASSWORD@HOST:5672` or `amqps://` for RabbitMQ stream queues, `kafka://USER:PASSWORD@HOST:9092` or `kafka+tls://` for Kafka (`?mechanism=` PLAIN, SCRAM-SHA-256 or, by default, SCRAM-SHA-512). For NATS and Kafka a list of servers of one cluster.',
      ),
    replicas: z
      .int()
      .min(1)
      .max(5)
      .prefault(1)
      .describe('NATS and Kafka: servers that keep a copy of each event. Others: without effect.'),
  })
  .describe('A broker, by the name that streams call it.');

/** In the plan the URLs are ids of secrets; in the bridge they are themselves. */
export interface EngineSettings {
  readonly name: string;
  readonly kind: EngineKind;
  readonly urls: readonly string[];
  readonly replicas: number;
}

export function compileEngines(
  engines: Readonly<Record<string, z.output<typeof engineSchema>>>,
  context: SectionContext,
): EngineSettings[] {
  return Object.entries(engines).map(([name, options]) => {
    const urls = [options.url].flat();
    const kinds = new Set(urls.map((text) => KINDS[text.slice(0, text.indexOf('://'))]!));
    const [kind = 'nats'] = kinds;
    const at = ['engines', name];
    if (name === EMBEDDED) {
      context.problem('is the name of the engine that is always there', { at, expected: 'another name' });
    }
    if (kinds.size > 1 || (kind !== 'nats' && kind !== 'kafka' && urls.length > 1)) {
      context.problem('must be servers of one NATS or Kafka cluster, or one URL', { at: [...at, 'url'] });
    }
    if (kind === 'kafka' && !urls.every(isKafkaUrl)) {
      context.problem('must be a URL that can be read', {
        at: [...at, 'url'],
        expected: `a host, a port up to 65535, and after "?mechanism=" one of ${KAFKA_MECHANISMS.join(', ')}`,
      });
    }
    return {
      name,
      kind,
      urls: urls.map((text, index) => context.secret(`engines/${name}/${index}`, text)),
      replicas: options.replicas,
    };
  });
}

/** What the client would refuse when it starts. */
function isKafkaUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { hostname, searchParams } = new URL(text);
  return hostname !== '' && KAFKA_MECHANISMS.includes(searchParams.get('mechanism') ?? KAFKA_MECHANISMS[0]!);
}

/** The client of a broker is loaded now. */
export async function openEngine({ kind, urls, replicas }: EngineSettings): Promise<EventEngine> {
  if (kind === 'redis') return new (await import('./redis.ts')).RedisEngine(urls[0] ?? '');
  if (kind === 'rabbitmq') return new (await import('./rabbitmq.ts')).RabbitEngine(urls[0] ?? '');
  if (kind === 'kafka') return new (await import('./kafka.ts')).KafkaEngine({ urls, replicas });
  return new (await import('./nats.ts')).NatsEngine({ urls, replicas });
}
