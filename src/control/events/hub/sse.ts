/**
 * The hub's second door: the same topics as server-sent events, for clients that only listen. Topics are those that
 * clients join by themselves and those of the query (`?topic=rooms.7`); `Last-Event-ID` or `?after=` resumes all of
 * them.
 */
import { type SubjectTest, subjectProblem } from '../../../data/contract/subjects.ts';
import { invalid, REFUSALS, type Refusal } from '../http.ts';
import type { ChannelRequest } from '../link/request.ts';
import { cursorOf, writeCursor } from '../subscribe/cursor.ts';
import type { Reader } from '../subscribe/feed.ts';
import type { FeedEntry } from '../subscribe/feed-entry.ts';
import { SseStream } from '../subscribe/sse-stream.ts';
import { frameOf, placeIn } from './connection.ts';
import type { Hub, HubClient, HubEnd, HubRoute } from './hub.ts';
import type { KnownCaller } from './known-caller.ts';
import { isAllowed, readable, rightsOf, ruleFor, topicFor } from './rights.ts';

const HEARTBEAT = Buffer.from(':\n\n');
const RETRY_MS = 2_000;

/** A refusal, or undefined: the response is under way. */
export async function openHubSse(
  hub: Hub,
  request: ChannelRequest,
  route: HubRoute,
  caller: KnownCaller,
): Promise<Refusal | undefined> {
  if (caller.user === null && !route.anonymous) return REFUSALS.unauthenticated;
  const { call, channel, query } = request;
  await hub.feed.start();
  const asked = request.headers['last-event-id'] || query.get('after') || undefined;
  const position = asked === undefined ? undefined : await placeIn(hub.feed, hub.tag, asked);
  const topics = topicsOf(hub, caller, query.getAll('topic'));
  if ('status' in topics) return topics;
  const full = hub.refusalFor(caller, call.address);
  if (full !== undefined) return full;
  if (channel.isOver) return undefined;
  const stream = new SseStream(channel);
  const client = new SseClient(hub, stream, call.route, caller, [...topics.keys()]);
  hub.opened(client, call.address, () => stream.write(HEARTBEAT));
  stream.onClose(() => client.end('gone'));
  const head = position === undefined ? hub.feed.head : position;
  stream.write(`retry: ${RETRY_MS}\n${head === null ? '' : `id: ${writeCursor(hub.tag, head)}\n`}\n`);
  const gap = (): void => {
    hub.counts.gaps++;
    stream.write('event: gap\ndata: {"type":"gap"}\n\n');
  };
  if (position === null) gap();
  const isEnveloped = query.get('format') !== 'data';
  const sink = {
    event: (entry: FeedEntry): boolean => {
      hub.counts.sent++;
      return stream.write(sseFrame(entry, isEnveloped, hub.tag));
    },
    gap,
  };
  const tests = [...topics.values()];
  client.reader = hub.feed.read(position ?? undefined, (subject) => tests.some((test) => test(subject)), sink);
  stream.onDrain(() => client.reader?.resume());
  return undefined;
}

function topicsOf(hub: Hub, caller: KnownCaller, asked: readonly string[]): Map<string, SubjectTest> | Refusal {
  const rules = hub.settings.topics;
  const topics = new Map<string, SubjectTest>();
  for (const rule of rules) {
    const topic = rule.join && isAllowed(rule.subscribe, caller) ? topicFor(rule, caller) : null;
    if (topic !== null) topics.set(topic, readable(rules, rule, topic, caller));
  }
  for (const topic of asked) {
    if (subjectProblem(topic, true) !== undefined) return invalid(400, 'topic', topic, 'dotted parts, such as rooms.7');
    const rule = ruleFor(rules, topic, caller);
    if (rule === undefined || !isAllowed(rule.subscribe, caller)) {
      return { status: 403, code: 'INSUFFICIENT_PERMISSIONS', message: 'you may not subscribe to this topic' };
    }
    topics.set(topic, readable(rules, rule, topic, caller));
  }
  if (topics.size === 0) return invalid(400, 'topic', '', 'a topic to listen to');
  const most = hub.limitsOf(caller).topics;
  return topics.size > most ? invalid(400, 'topic', String(topics.size), `at most ${most} topics`) : topics;
}

class SseClient implements HubClient {
  readonly route: string;
  readonly caller: KnownCaller;
  readonly isIn = true;
  readonly openedMs: number;
  readonly topics: number;
  reader: Reader | null = null;
  readonly #hub: Hub;
  readonly #stream: SseStream;
  /** What decided about each topic. */
  readonly #rights: ReadonlyMap<string, string>;
  #isClosed = false;

  constructor(hub: Hub, stream: SseStream, route: string, caller: KnownCaller, topics: readonly string[]) {
    this.#hub = hub;
    this.#stream = stream;
    this.route = route;
    this.caller = caller;
    this.topics = topics.length;
    this.#rights = new Map(topics.map((topic) => [topic, rightsOf(hub.settings.topics, topic, caller)]));
    this.openedMs = hub.nowMs();
  }

  get hasItsRights(): boolean {
    const { topics } = this.#hub.settings;
    return this.#rights.entries().every(([topic, rights]) => rightsOf(topics, topic, this.caller) === rights);
  }

  end(reason: HubEnd): void {
    this.close(0, reason);
  }

  close(_code: number, reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.reader?.close();
    this.#hub.closed(this);
    if (reason !== 'gone') this.#stream.end(`event: end\ndata: ${JSON.stringify({ type: 'end', reason })}\n\n`);
  }
}

function sseFrame(entry: FeedEntry, isEnveloped: boolean, tag: string): Buffer {
  return entry.once(isEnveloped ? 'hub sse v1' : 'hub sse plain', (event) => {
    const lines = frameOf(entry, isEnveloped, tag)
      .toString()
      .replace(/\r\n|\r|\n/g, '\ndata: ');
    return Buffer.from(`id: ${cursorOf(tag, event)}\ndata: ${lines}\n\n`);
  });
}
