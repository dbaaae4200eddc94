/**
 * What the gateway says over channels of events, as an AsyncAPI 3.0 document (https://www.asyncapi.com): its `publish`
 * and
 * `subscribe` routes, the hub, and the calls of consumers. The document is about the gateway: it `receive`s what
 * clients publish and `send`s what they subscribe to. It holds no secret, but names of routes, streams and topics: it
 * is for callers who are known.
 */
import type { PublishSettings, SubscribeSettings } from '../../data/contract/events.ts';
import type { ConsumerSettings } from './deliver/options.ts';
import type { StreamSettings } from './engines/engine.ts';
import type { HubSettings } from './hub/options.ts';

export interface DescribedRoute {
  readonly kind: 'publish' | 'subscribe' | 'hub';
  readonly settings: object;
  /** Pattern of its path, or the source of a regular expression. */
  readonly path: string;
  readonly methods: readonly string[];
}

export interface Described {
  readonly name: string;
  readonly version: string;
  readonly streams: readonly StreamSettings[];
  readonly routes: Readonly<Record<string, DescribedRoute>>;
  readonly consumers: readonly ConsumerSettings[];
  readonly hub: HubSettings | null;
}

type Json = Readonly<Record<string, unknown>>;

const CLOUD_EVENT = {
  type: 'object',
  required: ['specversion', 'id', 'source', 'type'],
  properties: {
    specversion: { const: '1.0' },
    id: { type: 'string' },
    source: { type: 'string' },
    type: { type: 'string' },
    subject: { type: 'string' },
    time: { type: 'string', format: 'date-time' },
    datacontenttype: { type: 'string' },
    data: {},
    data_base64: { type: 'string' },
  },
};

export function asyncApiDocument(described: Described): Json {
  const channels: Record<string, Json> = {};
  const operations: Record<string, Json> = {};
  const add = (id: string, channel: Json, actions: Readonly<Record<'send' | 'receive', readonly string[]>>): void => {
    channels[id] = channel;
    for (const action of ['send', 'receive'] as const) {
      if (actions[action].length === 0) continue;
      operations[`${action}-${id}`] = {
        action,
        channel: { $ref: `#/channels/${id}` },
        messages: actions[action].map((name) => ({ $ref: `#/channels/${id}/messages/${name}` })),
      };
    }
  };
  for (const [name, route] of Object.entries(described.routes)) {
    const id = keyOf(name, channels);
    if (route.kind === 'publish') add(id, publishChannel(route), { receive: ['event'], send: [] });
    else if (route.kind === 'subscribe')
      add(id, subscribeChannel(route), { send: ['event', 'gap', 'end'], receive: [] });
    else if (described.hub !== null) {
      add(id, hubChannel(route, described.hub), { send: [...FROM_HUB], receive: [...TO_HUB] });
    }
  }
  for (const consumer of described.consumers) {
    add(keyOf(`consumer-${consumer.name}`, channels), consumerChannel(consumer), { send: ['event'], receive: [] });
  }
  return {
    asyncapi: '3.0.0',
    info: {
      title: `Events of ${described.name}`,
      version: described.version,
      description: streamsText(described.streams),
    },
    defaultContentType: 'application/json',
    channels,
    operations,
    components: { schemas: { CloudEvent: CLOUD_EVENT } },
  };
}

const CLOUD_EVENT_MESSAGE = {
  name: 'event',
  title: 'CloudEvent',
  contentType: 'application/cloudevents+json',
  payload: { $ref: '#/components/schemas/CloudEvent' },
};
const DATA_MESSAGE = { name: 'event', title: 'What was published, to the letter', payload: {} };

function addressOf({ path }: DescribedRoute): Json {
  const address = path.replace(/\/\*$/, '').replace(/:([A-Za-z_][A-Za-z0-9_]*)/g, '{$1}');
  const names = [...address.matchAll(/\{([A-Za-z_][A-Za-z0-9_]*)\}/g)].map(([, name]) => name!);
  return {
    address: address === '' ? '/' : address,
    ...(names.length === 0 ? {} : { parameters: Object.fromEntries(names.map((name) => [name, {}])) }),
  };
}

function publishChannel(route: DescribedRoute): Json {
  const { stream, subject, body, idempotencyKey } = route.settings as PublishSettings;
  const headers = {
    type: 'object',
    properties: { 'Idempotency-Key': { type: 'string', description: 'One effect, however often it is repeated.' } },
    ...(idempotencyKey === 'required' ? { required: ['Idempotency-Key'] } : {}),
  };
  const message = body === 'cloudevent' ? CLOUD_EVENT_MESSAGE : { ...DATA_MESSAGE, title: 'Data, or a CloudEvent' };
  return {
    ...addressOf(route),
    title: `Publish to ${stream}`,
    description: `HTTP ${(route.methods.length === 0 ? ['POST'] : route.methods).join(', ')}; 202 once the event is durable, with the subject \`${subject}\`. A batch of CloudEvents (\`application/cloudevents-batch+json\`) is one request.`,
    messages: { event: { ...message, headers } },
  };
}

function subscribeChannel(route: DescribedRoute): Json {
  const { stream, subject, format } = route.settings as SubscribeSettings;
  const told = (name: string, properties: Json): Json => ({ name, payload: { type: 'object', properties } });
  return {
    ...addressOf(route),
    title: `Subscribe to ${stream}`,
    description: `Server-sent events, or text messages of a WebSocket, for subjects that match \`${subject}\`; \`Last-Event-ID\` or \`?after=\` resumes.`,
    messages: {
      event: format === 'cloudevent' ? CLOUD_EVENT_MESSAGE : DATA_MESSAGE,
      gap: told('gap', { type: { const: 'gap' }, stream: { type: 'string' } }),
      end: told('end', { type: { const: 'end' }, reason: { type: 'string' } }),
    },
    bindings: { ws: { method: 'GET' } },
  };
}

function consumerChannel({ service, path, stream, subjects, format, secrets }: ConsumerSettings): Json {
  const signed = secrets.length === 0 ? '' : ' Signed as Standard Webhooks say.';
  return {
    address: path,
    title: `Deliveries to ${service}`,
    description: `Calls of the service \`${service}\` with events of ${stream} that match ${subjects.join(', ')}, at least once each.${signed}`,
    messages: {
      event: {
        ...(format === 'cloudevent' ? CLOUD_EVENT_MESSAGE : DATA_MESSAGE),
        headers: {
          type: 'object',
          required: ['webhook-id', 'webhook-timestamp'],
          properties: {
            'webhook-id': { type: 'string' },
            'webhook-timestamp': { type: 'string' },
            'webhook-signature': { type: 'string' },
          },
        },
      },
    },
  };
}

const TEXT = { type: 'string' };
const REF = { description: 'The sender’s; it comes back with the response.' };
const HUB_MESSAGES: Readonly<Record<string, Json>> = {
  ping: {},
  auth: { token: TEXT, apiKey: TEXT, ticket: TEXT, after: TEXT },
  subscribe: { topic: TEXT, after: TEXT },
  unsubscribe: { topic: TEXT },
  publish: { topic: TEXT, data: {} },
  askPresence: { topic: TEXT },
  pong: { id: TEXT },
  authenticated: { user: TEXT, expires: TEXT },
  subscribed: { topic: TEXT, id: TEXT },
  unsubscribed: { topic: TEXT },
  published: { topic: TEXT, id: TEXT },
  message: { topic: TEXT, id: TEXT, data: {} },
  presence: { topic: TEXT, users: { type: 'array', items: TEXT } },
  gap: { topic: TEXT },
  error: { code: TEXT, message: TEXT, topic: TEXT },
  end: { reason: TEXT },
};
const TO_HUB = ['ping', 'auth', 'subscribe', 'unsubscribe', 'publish', 'askPresence'] as const;
const FROM_HUB = Object.keys(HUB_MESSAGES).filter((name) => !(TO_HUB as readonly string[]).includes(name));

function hubChannel(route: DescribedRoute, { topics }: HubSettings): Json {
  const messages = Object.entries(HUB_MESSAGES).map(([name, properties]) => {
    const type = name === 'askPresence' ? 'presence' : name;
    const payload = {
      type: 'object',
      required: ['type'],
      properties: { type: { const: type }, ...properties, ref: REF },
    };
    return [name, { name: type, payload }];
  });
  return {
    ...addressOf(route),
    title: 'Real-time hub',
    description: `WebSocket with the subprotocol \`gatehouse.v1\`. Topics: ${topics.map(({ topic }) => `\`${topic}\``).join(', ')}.`,
    messages: Object.fromEntries(messages),
    bindings: { ws: { method: 'GET' } },
  };
}

function streamsText(streams: readonly StreamSettings[]): string {
  const lines = streams.map(({ name, engine, subjects }) => `- ${name} (${engine}): ${subjects.join(', ')}`);
  return lines.length === 0 ? 'There are no streams.' : `Streams and their subjects:\n\n${lines.join('\n')}`;
}

/** Keys of channels are of these characters, and each is there once. */
function keyOf(name: string, taken: Readonly<Record<string, unknown>>): string {
  const key = name.replace(/[^A-Za-z0-9_.-]+/g, '-').replace(/^-+|-+$/g, '') || 'channel';
  if (!Object.hasOwn(taken, key)) return key;
  for (let i = 2; ; i++) if (!Object.hasOwn(taken, `${key}-${i}`)) return `${key}-${i}`;
}
