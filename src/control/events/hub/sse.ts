/**
 * The hub's second door: the same topics as server-sent events, for clients that only listen. Topics are those that
 * clients join by themselves and those of the query (`?topic=rooms.7`); `Last-Event-ID` or `?after=` resumes all of
 * them.
 */
import { compilePattern, subjectProblem } from '../../../data/contract/subjects.ts';
import { invalid, REFUSALS, type Refusal } from '../http.ts';
import type { ChannelRequest } from '../link/request.ts';
import { readCursor, writeCursor } from '../subscribe/cursor.ts';
import type { Reader } from '../subscribe/feed.ts';
import type { FeedEntry } from '../subscribe/feed-entry.ts';
import { SseStream } from '../subscribe/sse-stream.ts';
import { frameOf } from './connection.ts';
import type { Hub, HubClient, HubEnd, HubRoute } from './hub.ts';
import type { KnownCaller } from './known-caller.ts';
import { isAllowed, ruleFor, topicFor } from './rights.ts';

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
  const topics = topicsOf(hub, caller, query.getAll('topic'));
  if ('status' in topics) return topics;
  await hub.feed.start();
  const full = hub.refusalFor(caller, call.address);
  if (full !== undefined) return full;
  if (channel.isOver) return undefined;
  const asked = request.headers['last-event-id'] || query.get('after') || undefined;
  const position = asked === undefined ? undefined : readCursor(hub.tag, asked);
  const stream = new SseStream(channel);
  const client = new SseClient(hub, stream, call.route, caller, topics.size);
  hub.opened(client, call.address, () => stream.write(HEARTBEAT));
  stream.onClose(() => client.end('gone'));
  const head = position === undefined ? hub.cursor() : asked;
  stream.write(`retry: ${RETRY_MS}\n${position === null || head === null ? '' : `id: ${head}\n`}\n`);
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
  const tests = [...topics].map(compilePattern);
  client.reader = hub.feed.read(position ?? undefined, (subject) => tests.some((test) => test(subject)), sink);
  stream.onDrain(() => client.reader?.resume());
  return undefined;
}

function topicsOf(hub: Hub, caller: KnownCaller, asked: readonly string[]): Set<string> | Refusal {
  const topics = new Set<string>();
  for (const rule of hub.settings.topics) {
    const topic = rule.join && isAllowed(rule.subscribe, caller) ? topicFor(rule, caller) : null;
    if (topic !== null) topics.add(topic);
  }
  for (const topic of asked) {
    if (subjectProblem(topic, true) !== undefined) return invalid(400, 'topic', topic, 'dotted parts, such as rooms.7');
    const rule = ruleFor(hub.settings.topics, topic, caller);
    if (rule === undefined || !isAllowed(rule.subscribe, caller)) {
      return { status: 403, code: 'INSUFFICIENT_PERMISSIONS', message: 'you may not subscribe to this topic' };
    }
    topics.add(topic);
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
  #isClosed = false;

  constructor(hub: Hub, stream: SseStream, route: string, caller: KnownCaller, topics: number) {
    this.#hub = hub;
    this.#stream = stream;
    this.route = route;
    this.caller = caller;
    this.topics = topics;
    this.openedMs = hub.nowMs();
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
  return entry.once(isEnveloped ? 'hub sse v1' : 'hub sse plain', ({ position }) => {
    const lines = frameOf(entry, isEnveloped, tag)
      .toString()
      .replace(/\r\n|\r|\n/g, '\ndata: ');
    return Buffer.from(`id: ${writeCursor(tag, position)}\ndata: ${lines}\n\n`);
  });
}
