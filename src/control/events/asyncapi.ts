/**
 * What the gateway says over channels of events, as AsyncAPI 3.0 documents (https://www.asyncapi.com): its `publish`
 * and `subscribe` routes, the hub, and the calls of consumers, each audience with what it may read. The document is
 * about the gateway: it `receive`s what clients publish and `send`s what they subscribe to. It holds no secret. Loaded
 * when a caller asks for it.
 */
import type { PublishSettings, SubscribeSettings } from '../../data/contract/events.ts';
import { AUDIENCES, type Audience } from '../audience.ts';
import { makingMethods } from './api-description.ts';
import {
  deliveryMessages,
  HUB_PUBLISH,
  HUB_RECEIVES,
  hubMessages,
  hubSseMessages,
  type Json,
  publishMessages,
  SCHEMAS,
  SOCKET_RECEIVES,
  socketMessages,
  sseMessages,
} from './asyncapi-messages.ts';
import type { ConsumerSettings } from './deliver/options.ts';
import type { StreamSettings } from './engines/engine.ts';
import type { HubSettings } from './hub/options.ts';

export interface DescribedRoute {
  readonly kind: 'publish' | 'subscribe' | 'hub';
  readonly settings: object;
  /** Pattern of its path, or the source of a regular expression. */
  readonly path: string;
  readonly methods: readonly string[];
  readonly audience: Audience;
  /** Alternatives, each of schemes that are needed together, as OpenAPI has them; none: anybody. */
  readonly security: readonly Json[];
  readonly schemes: Json;
  /** By which the route checks JSON bodies; null: by none. */
  readonly bodySchema: Json | null;
}

export interface Described {
  readonly name: string;
  readonly version: string;
  readonly streams: readonly StreamSettings[];
  readonly routes: Readonly<Record<string, DescribedRoute>>;
  readonly consumers: readonly ConsumerSettings[];
  readonly hub: HubSettings | null;
}

/** Where callers reach the gateway. */
export interface Reached {
  readonly host: string;
  readonly isSecure: boolean;
}

interface Channel {
  readonly id: string;
  readonly channel: Json;
  readonly server: string;
  readonly operations: readonly {
    readonly id: string;
    readonly action: 'send' | 'receive';
    readonly messages: readonly string[];
    readonly reply?: readonly string[];
    readonly bindings?: Json;
  }[];
  readonly route: DescribedRoute | null;
}

const HTTP = 'http';
const SOCKET = 'websocket';
const HTTP_BINDING = { bindingVersion: '0.3.0' };
const SOCKET_BINDING = { bindingVersion: '0.1.0' };
const AFTER = {
  type: 'object',
  properties: { after: { type: 'string', description: 'Goes on after this position.' } },
};

export function asyncApiDocument(described: Described, audience: Audience, reached: Reached): Json {
  const taken: Record<string, true> = {};
  const isFor = (route: DescribedRoute): boolean => AUDIENCES.indexOf(route.audience) <= AUDIENCES.indexOf(audience);
  const shown = Object.entries(described.routes).filter(([, route]) => isFor(route));
  const channels = shown.flatMap(([name, route]) => channelsOf(keyOf(name, taken), route, described));
  // Names and paths of services behind the gateway are for those who run it.
  const consumers = audience === 'admin' ? described.consumers : [];
  for (const each of consumers) channels.push(consumerChannel(keyOf(`consumer-${each.name}`, taken), each));
  const streams = audience === 'admin' ? streamsText(described.streams) : undefined;
  const schemes = Object.assign({}, ...shown.map(([, { schemes: own }]) => schemesOf(own))) as Json;
  return {
    asyncapi: '3.0.0',
    info: {
      title: `Events of ${described.name}`,
      version: described.version,
      ...(streams === undefined ? {} : { description: streams }),
    },
    defaultContentType: 'application/json',
    servers: serversOf(channels, reached, consumers),
    channels: Object.fromEntries(
      channels.map(({ id, channel, server }) => [id, { ...channel, servers: [{ $ref: `#/servers/${server}` }] }]),
    ),
    operations: Object.fromEntries(channels.flatMap(operationsOf)),
    components: {
      schemas: SCHEMAS,
      ...(Object.keys(schemes).length === 0 ? {} : { securitySchemes: schemes }),
    },
  };
}

function operationsOf({ id, route, operations }: Channel): (readonly [string, Json])[] {
  const messages = (names: readonly string[]) => names.map((name) => ({ $ref: `#/channels/${id}/messages/${name}` }));
  const channel = { $ref: `#/channels/${id}` };
  const security = securityOf(route);
  return operations.map(({ id: own, action, messages: names, reply, bindings }) => [
    own,
    {
      action,
      channel,
      messages: messages(names),
      ...(reply === undefined ? {} : { reply: { channel, messages: messages(reply) } }),
      ...(security.length === 0 ? {} : { security }),
      ...(bindings === undefined ? {} : { bindings }),
    },
  ]);
}

function channelsOf(id: string, route: DescribedRoute, { hub, routes }: Described): Channel[] {
  if (route.kind === 'publish') return [publishChannel(id, route)];
  if (route.kind === 'subscribe') return subscribeChannels(id, route, routes);
  return hub === null ? [] : hubChannels(id, route, hub);
}

function publishChannel(id: string, route: DescribedRoute): Channel {
  const { stream, subject, body, idempotencyKey } = route.settings as PublishSettings;
  const messages = publishMessages(body, idempotencyKey === 'required', route.bodySchema);
  const isReply = (name: string): boolean => name.startsWith('accepted');
  const methods = makingMethods(route.methods);
  return {
    id,
    route,
    server: HTTP,
    channel: {
      ...addressOf(route.path),
      title: `Publish to ${stream}`,
      description: `HTTP ${methods.join(', ')}; 202 once the event is durable, with the subject \`${subject}\`. What is refused, and how, is in the OpenAPI document.`,
      messages,
    },
    operations: methods.map((method, index) => ({
      id: index === 0 ? `receive-${id}` : `receive-${id}-${method.toLowerCase()}`,
      action: 'receive',
      messages: Object.keys(messages).filter((name) => !isReply(name)),
      reply: Object.keys(messages).filter(isReply),
      bindings: { http: { method, ...HTTP_BINDING } },
    })),
  };
}

function subscribeChannels(id: string, route: DescribedRoute, routes: Described['routes']): Channel[] {
  const { stream, subject, format } = route.settings as SubscribeSettings;
  const about = `for subjects that match \`${subject}\``;
  const schema = schemaOfStream(stream, routes);
  const sse = sseMessages(format, schema);
  const socket = socketMessages(format, schema);
  return [
    {
      id,
      route,
      server: HTTP,
      channel: {
        ...addressOf(route.path),
        title: `Subscribe to ${stream}`,
        description: `Server-sent events ${about}: \`id:\` is the position, from which \`Last-Event-ID\` or \`?after=\` resumes.`,
        messages: sse,
      },
      operations: [
        {
          id: `send-${id}`,
          action: 'send',
          messages: Object.keys(sse),
          bindings: { http: { method: 'GET', query: AFTER, ...HTTP_BINDING } },
        },
      ],
    },
    {
      id: `${id}-websocket`,
      route,
      server: SOCKET,
      channel: {
        ...addressOf(route.path),
        title: `Subscribe to ${stream} over a WebSocket`,
        description: `Text messages ${about}; \`?after=\` resumes.`,
        messages: socket,
        bindings: { ws: { method: 'GET', query: AFTER, ...SOCKET_BINDING } },
      },
      operations: bothWays(`${id}-websocket`, Object.keys(socket), SOCKET_RECEIVES),
    },
  ];
}

function hubChannels(id: string, route: DescribedRoute, { topics }: HubSettings): Channel[] {
  const messages = hubMessages();
  const sse = hubSseMessages();
  const named = `Topics: ${topics.map(({ topic }) => `\`${topic}\``).join(', ')}.`;
  const { address, parameters } = addressOf(route.path);
  const query = {
    type: 'object',
    properties: { ...AFTER.properties, topic: { type: 'string' }, format: { enum: ['data'] } },
  };
  return [
    {
      id,
      route,
      server: SOCKET,
      channel: {
        address,
        ...(parameters === undefined ? {} : { parameters }),
        title: 'Real-time hub',
        description: `WebSocket, with the subprotocol \`gatehouse.v1\` or without one. ${named}`,
        messages,
        bindings: {
          ws: {
            method: 'GET',
            query: { type: 'object', properties: { ...AFTER.properties, ticket: { type: 'string' } } },
            headers: { type: 'object', properties: { 'Sec-WebSocket-Protocol': { const: 'gatehouse.v1' } } },
            ...SOCKET_BINDING,
          },
        },
      },
      operations: bothWays(id, Object.keys(messages), HUB_RECEIVES),
    },
    {
      id: `${id}-events`,
      route,
      server: HTTP,
      channel: {
        address,
        ...(parameters === undefined ? {} : { parameters }),
        title: 'Topics of the hub as server-sent events',
        description: `For clients that only listen: \`?topic=\`. ${named}`,
        messages: sse,
      },
      operations: [
        {
          id: `send-${id}-events`,
          action: 'send',
          messages: Object.keys(sse),
          bindings: { http: { method: 'GET', query, ...HTTP_BINDING } },
        },
      ],
    },
    {
      id: `${id}-topic`,
      route,
      server: HTTP,
      channel: {
        address: `${address === '/' ? '' : address}/topics/{topic}`,
        parameters: { ...parameters, topic: { description: 'Dotted parts, such as rooms.7.' } },
        title: 'Publish to a topic of the hub',
        messages: HUB_PUBLISH,
      },
      operations: [
        {
          id: `receive-${id}-topic`,
          action: 'receive',
          messages: ['data'],
          reply: ['accepted'],
          bindings: { http: { method: 'POST', ...HTTP_BINDING } },
        },
      ],
    },
  ];
}

function consumerChannel(id: string, consumer: ConsumerSettings): Channel {
  const { name, service, method, path, stream, subjects, format, secrets } = consumer;
  const signed = secrets.length === 0 ? '' : ' Signed as Standard Webhooks say.';
  const messages = deliveryMessages(format, secrets.length > 0);
  return {
    id,
    route: null,
    server: serverOfService(service),
    channel: {
      address: path,
      title: `Deliveries to ${service}`,
      description: `Calls by the consumer \`${name}\` with events of ${stream} that match ${subjects.join(', ')}, at least once each; 2xx takes one.${signed}`,
      messages,
    },
    operations: [
      {
        id: `send-${id}`,
        action: 'send',
        messages: Object.keys(messages),
        bindings: { http: { method, ...HTTP_BINDING } },
      },
    ],
  };
}

function bothWays(id: string, names: readonly string[], received: readonly string[]): Channel['operations'] {
  return [
    { id: `send-${id}`, action: 'send', messages: names.filter((name) => !received.includes(name)) },
    { id: `receive-${id}`, action: 'receive', messages: received },
  ];
}

/** What may be in the stream is known where each route that publishes to it checks what it takes. */
function schemaOfStream(stream: string, routes: Described['routes']): Json | null {
  const schemas: Json[] = [];
  for (const { kind, settings, bodySchema } of Object.values(routes)) {
    if (kind !== 'publish' || (settings as PublishSettings).stream !== stream) continue;
    if (bodySchema === null) return null;
    schemas.push(bodySchema);
  }
  return schemas.length === 0 ? null : schemas.length === 1 ? schemas[0]! : { anyOf: schemas };
}

function serversOf(
  channels: readonly Channel[],
  { host, isSecure }: Reached,
  consumers: readonly ConsumerSettings[],
): Json {
  const used = new Set(channels.map(({ server }) => server));
  const [web, socket] = isSecure ? (['https', 'wss'] as const) : (['http', 'ws'] as const);
  return {
    ...(used.has(HTTP) ? { [HTTP]: { host, protocol: web } } : {}),
    ...(used.has(SOCKET) ? { [SOCKET]: { host, protocol: socket } } : {}),
    ...Object.fromEntries(
      consumers.map(({ service }) => [
        serverOfService(service),
        { host: service, protocol: 'http', description: `Instances of the service \`${service}\`.` },
      ]),
    ),
  };
}

const serverOfService = (service: string): string => `service-${keyOf(service, {})}`;

/** In AsyncAPI each entry is one scheme of which one is enough; schemes that are needed together are all named. */
function securityOf(route: DescribedRoute | null): Json[] {
  const names = new Set((route?.security ?? []).flatMap((each) => Object.keys(each)));
  return [...names].map((name) => ({ $ref: `#/components/securitySchemes/${name}` }));
}

/** OpenAPI's schemes in the words of AsyncAPI. */
function schemesOf(schemes: Json): Json {
  return Object.fromEntries(
    Object.entries(schemes).map(([name, value]) => {
      const scheme = value as Json;
      if (scheme['type'] === 'apiKey') return [name, { ...scheme, type: 'httpApiKey' }];
      return [name, scheme['type'] === 'mutualTLS' ? { ...scheme, type: 'X509' } : scheme];
    }),
  );
}

function addressOf(path: string): { readonly address: string; readonly parameters?: Json } {
  const address = path.replace(/\/\*$/, '').replace(/:([A-Za-z_][A-Za-z0-9_]*)/g, '{$1}');
  const names = [...address.matchAll(/\{([A-Za-z_][A-Za-z0-9_]*)\}/g)].map(([, name]) => name!);
  return {
    address: address === '' ? '/' : address,
    ...(names.length === 0 ? {} : { parameters: Object.fromEntries(names.map((name) => [name, {}])) }),
  };
}

function streamsText(streams: readonly StreamSettings[]): string {
  const lines = streams.map(({ name, engine, subjects }) => `- ${name} (${engine}): ${subjects.join(', ')}`);
  return lines.length === 0 ? 'There are no streams.' : `Streams and their subjects:\n\n${lines.join('\n')}`;
}

/** Keys of channels are of these characters, and each is there once. */
function keyOf(name: string, taken: Record<string, true>): string {
  const plain = name.replace(/[^A-Za-z0-9_.-]+/g, '-').replace(/^-+|-+$/g, '') || 'channel';
  let key = plain;
  for (let i = 2; Object.hasOwn(taken, key); i++) key = `${plain}-${i}`;
  taken[key] = true;
  return key;
}
