/**
 * Delivers the events of one consumer while this process holds its lease. Each key has a lane: one call at a time, and
 * what has to be tried again, with all that came behind it in the lane, moves to the SQL store, so that other keys go
 * on and a restart forgets nothing. What was delivered is written down in batches; a crash repeats the last batch,
 * never loses it.
 *
 *   feed -> lane -> ready -> call of the service -> delivered: the cursor moves on
 *            ^                 | again: a row, tried when its time has come (in order: its lane waits)
 *            +-- due rows <----+ refused, or tried too often: a dead letter, and the lane goes on
 *                              | no instance got it: all of the consumer waits, and no attempt is counted
 */
import { messageOf } from '../../../base/errors.ts';
import type { Logger } from '../../../base/log.ts';
import { compilePattern } from '../../../data/contract/subjects.ts';
import { comparePositions, type StoredEvent } from '../engines/engine.ts';
import type { Feed, Reader } from '../subscribe/feed.ts';
import type { FeedEntry } from '../subscribe/feed-entry.ts';
import { deliveryRequest, type Verdict, verdictOf } from './delivery.ts';
import { compareRows, type DeliveryStore, type KeptDelivery, type RowChange } from './delivery-store.ts';
import type { ConsumerSettings } from './options.ts';
import type { ServiceCallers } from './service-callers.ts';

export interface DeliveryCounts {
  delivered: number;
  /** Attempts after the first one of an event. */
  redelivered: number;
  failed: number;
  dead: number;
  gaps: number;
}

export interface RunParts {
  readonly settings: ConsumerSettings;
  readonly streamTag: string;
  readonly store: DeliveryStore;
  readonly callers: Pick<ServiceCallers, 'call' | 'isReady'>;
  readonly feed: Feed;
  readonly log: Logger;
  readonly counts: DeliveryCounts;
  readonly wallMs: () => number;
  readonly random: () => number;
  /** The stream was begun anew: nothing more is taken. `leave` it for another run, which is `start`ed as one. */
  readonly onBegunAnew: () => void;
}

interface Job {
  readonly event: StoredEvent;
  readonly lane: Lane;
  /** Attempts before this one. */
  readonly attempts: number;
  /** It is a row of the store. */
  readonly isKept: boolean;
  /** Position of the event before it; what the cursor says while this one is under way. */
  readonly before: string | null;
}

interface Lane {
  readonly key: string;
  isBusy: boolean;
  readonly queue: Job[];
  /** Rows of the store, in the order of the stream. They go before the queue. */
  readonly kept: KeptDelivery[];
}

/** Events between the cursor and the newest that was taken; more are not read. */
const WINDOW_EVENTS = 1_000;
const WINDOW_BYTES = 16 * 1024 ** 2;
/** Rows that wait for another attempt; with more the stream is not read on. */
const MOST_KEPT = 10_000;
const WRITE_AFTER_MS = 20;
const WRITE_AGAIN_AFTER_MS = 500;
const LOOK_EVERY_MS = 100;
const MAX_RESPONSE_BYTES = 1_000;
const LONGEST_PAUSE_MS = 30_000;

export class DeliveryRun {
  readonly #parts: RunParts;
  readonly #lanes = new Map<string, Lane>();
  /** Lanes with rows. */
  readonly #waiting = new Set<Lane>();
  /** In the order of the stream. */
  readonly #outstanding = new Map<string, Job>();
  #outstandingBytes = 0;
  readonly #ready: Job[] = [];
  #changes = new Map<string, RowChange>();
  /** Being written. */
  #writingChanges: ReadonlyMap<string, RowChange> = new Map();
  #writing: Promise<void> | null = null;
  #writeTimer: NodeJS.Timeout | undefined;
  #lookTimer: NodeJS.Timeout | undefined;
  #written: string | null | undefined;
  #reader: Reader | null = null;
  #last: string | null = null;
  /** Ids of rows behind the cursor of the process before, by position: the stream brings their events again. */
  readonly #known = new Map<string, string>();
  #inFlight = 0;
  #keptCount = 0;
  #isLoading = false;
  #pausedUntilMs = 0;
  #pauses = 0;
  #problem: string | null = null;
  #isOver = false;
  /** Positions mean other events by now. */
  #isLeft = false;
  #onIdle: (() => void) | null = null;

  constructor(parts: RunParts) {
    this.#parts = parts;
  }

  /** Rejects when the store or the engine is away. `isAnew`: the stream was begun anew since the run before. */
  async start(isAnew = false): Promise<void> {
    const { settings, store, streamTag, feed } = this.#parts;
    await feed.start();
    let position = await store.cursor(settings.name, streamTag);
    if (position === undefined) {
      await store.setAside(settings.name);
      position = settings.from === 'earliest' ? null : feed.head;
      await store.write(settings.name, streamTag, position, new Map());
    }
    // Of a stream that was lost and begun anew, everything is new.
    const isAhead = !isAnew && position !== null && (await feed.isAhead(position));
    if (isAhead) this.#onGap();
    if (isAnew || isAhead) {
      await store.setAside(settings.name);
      position = null;
      await store.write(settings.name, streamTag, position, new Map());
    }
    for (const kept of await store.retries(settings.name)) this.#keep(kept);
    for (const { position: at, id } of await store.known(settings.name, 2 * WINDOW_EVENTS + MOST_KEPT))
      if (position === null || comparePositions(at, position) > 0) this.#known.set(at, id);
    if (this.#isOver) return;
    this.#written = position;
    this.#last = position;
    this.#lookTimer = setInterval(() => this.#look(), LOOK_EVERY_MS);
    const tests = settings.subjects.map(compilePattern);
    this.#reader = feed.read(position, (subject) => tests.some((test) => test(subject)), {
      event: (entry) => this.#take(entry),
      gap: () => this.#onGap(),
      begunAnew: () => {
        this.#reader?.close();
        this.#parts.onBegunAnew();
      },
    });
  }

  /** Events that were taken from the stream and are not delivered yet. */
  get pending(): number {
    return this.#outstanding.size + this.#keptCount;
  }

  /** Everything up to here was delivered or is a row. */
  get position(): string | null {
    for (const job of this.#outstanding.values()) return job.before;
    return this.#reader?.position ?? this.#last;
  }

  /** Why nothing is delivered at the moment, or null. */
  get problem(): string | null {
    return this.#problem;
  }

  /**
   * Stops, and keeps what was taken and is not delivered as rows: the stream does not have it any more. Rejects when the
   * store is away.
   */
  async leave(waitMs: number): Promise<void> {
    await this.stop(waitMs);
    for (const { event, attempts } of this.#outstanding.values())
      this.#changes.set(event.position, { kind: 'put', event, state: 'retry', attempts, nextMs: 0, problem: null });
    await this.#write();
    this.#isLeft = true;
    clearTimeout(this.#writeTimer);
  }

  /** Takes nothing more, waits for calls under way, at most so long, and writes down what became of them. */
  async stop(waitMs: number): Promise<void> {
    this.#isOver = true;
    this.#reader?.close();
    clearInterval(this.#lookTimer);
    if (this.#inFlight > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, waitMs);
        this.#onIdle = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    clearTimeout(this.#writeTimer);
    await this.#writing?.catch(() => {});
    await this.#write().catch(() => {});
    clearTimeout(this.#writeTimer);
  }

  /** Rows that another process or an operator made due. */
  async lookForReplayed(): Promise<void> {
    const { settings, store } = this.#parts;
    const known = new Set<string>();
    for (const lane of this.#waiting) for (const { position } of lane.kept) known.add(position);
    const isSettling = (position: string): boolean =>
      this.#changes.has(position) || this.#writingChanges.has(position) || this.#outstanding.has(position);
    // What settles while the rows are read is either known before or changed after.
    const settlingBefore = new Set([...this.#changes.keys(), ...this.#writingChanges.keys()]);
    for (const kept of await store.retries(settings.name)) {
      if (this.#isOver) return;
      if (kept.nextMs > 0 || known.has(kept.position) || settlingBefore.has(kept.position)) continue;
      if (!isSettling(kept.position)) this.#keep(kept);
    }
    this.#look();
  }

  // --- from the stream to a lane -----------------------------------------------------------------------------------

  #take({ event }: FeedEntry): boolean {
    if (this.#known.size > 0 && this.#known.get(event.position) === event.id) {
      this.#known.delete(event.position);
      return this.#hasRoom;
    }
    const lane = this.#lane(this.#parts.settings.order === 'key' ? event.key : `\n${event.position}`);
    const job: Job = { event, lane, attempts: 0, isKept: false, before: this.#last };
    this.#last = event.position;
    this.#outstanding.set(event.position, job);
    this.#outstandingBytes += event.data.byteLength;
    if (lane.kept.length > 0) this.#putOff(job, 0, 0, null);
    else if (lane.isBusy || lane.queue.length > 0) lane.queue.push(job);
    else this.#makeReady(job);
    this.#pump();
    return this.#hasRoom;
  }

  get #hasRoom(): boolean {
    return (
      this.#outstanding.size < WINDOW_EVENTS &&
      this.#outstandingBytes < WINDOW_BYTES &&
      this.#keptCount < MOST_KEPT &&
      !this.#isOver
    );
  }

  #lane(key: string): Lane {
    let lane = this.#lanes.get(key);
    if (lane === undefined) {
      lane = { key, isBusy: false, queue: [], kept: [] };
      this.#lanes.set(key, lane);
    }
    return lane;
  }

  #keep(kept: KeptDelivery): void {
    const lane = this.#lane(this.#parts.settings.order === 'key' ? kept.key : `\n${kept.position}`);
    const at = lane.kept.findIndex(({ position }) => compareRows(position, kept.position) > 0);
    lane.kept.splice(at < 0 ? lane.kept.length : at, 0, kept);
    this.#waiting.add(lane);
    this.#keptCount++;
  }

  #onGap(): void {
    this.#parts.counts.gaps++;
    this.#parts.log.warn('events were removed before a consumer got them', { consumer: this.#parts.settings.name });
  }

  // --- calls -------------------------------------------------------------------------------------------------------

  #makeReady(job: Job): void {
    job.lane.isBusy = true;
    this.#ready.push(job);
  }

  #pump(): void {
    const { settings, callers, wallMs } = this.#parts;
    while (this.#inFlight < settings.concurrency && this.#ready.length > 0 && !this.#isOver) {
      if (!callers.isReady || wallMs() < this.#pausedUntilMs) return;
      void this.#deliver(this.#ready.shift()!);
    }
  }

  async #deliver(job: Job): Promise<void> {
    const { counts } = this.#parts;
    this.#inFlight++;
    if (job.attempts > 0) counts.redelivered++;
    const verdict = await this.#call(job.event, job.attempts + 1);
    this.#inFlight--;
    if (verdict.kind === 'unsent') this.#pause(job, verdict.problem);
    else {
      this.#pauses = 0;
      this.#problem = null;
      job.lane.isBusy = false;
      this.#settle(job, verdict);
    }
    this.#pump();
    if (this.#inFlight === 0) this.#onIdle?.();
  }

  async #call(event: StoredEvent, attempt: number): Promise<Verdict> {
    const { settings, callers, wallMs } = this.#parts;
    const { service, method, timeoutMs } = settings;
    const [path = '/', query = null] = settings.path.split('?', 2);
    const { fields, body } = deliveryRequest(event, settings, wallMs());
    const result = await callers.call({
      service,
      method,
      path,
      query,
      fields,
      body,
      timeoutMs,
      maxBytes: MAX_RESPONSE_BYTES,
      mark: { consumer: settings.name, stream: settings.stream, event: event.id, attempt },
    });
    if (result.kind === 'response') return verdictOf(result.status, result.retryAfter, result.body, wallMs());
    if (!result.mayHaveArrived) return { kind: 'unsent', problem: result.reason };
    return { kind: 'again', problem: result.reason, afterMs: 0 };
  }

  /** Nobody is there to take anything: the event keeps its turn. */
  #pause(job: Job, problem: string): void {
    const { settings, wallMs, log, random } = this.#parts;
    this.#ready.unshift(job);
    if (wallMs() < this.#pausedUntilMs) return;
    if (this.#pauses === 0) log.warn('a consumer waits for its service', { consumer: settings.name, problem });
    this.#problem = problem;
    const ms = Math.min(
      LONGEST_PAUSE_MS,
      settings.maxBackoffMs,
      settings.backoffMs * 2 ** Math.min(this.#pauses++, 20),
    );
    this.#pausedUntilMs = wallMs() + ms * (1 + random() / 4);
  }

  #settle(job: Job, verdict: Exclude<Verdict, { readonly kind: 'unsent' }>): void {
    const { settings, counts, log, wallMs, random } = this.#parts;
    const { event, lane } = job;
    if (job.isKept) this.#unkeep(lane, event.position);
    if (verdict.kind === 'delivered') {
      counts.delivered++;
      if (job.isKept) this.#change(event.position, { kind: 'delete' });
      this.#finish(job);
      this.#next(lane);
      return;
    }
    counts.failed++;
    const attempts = job.attempts + 1;
    if (verdict.kind === 'again' && attempts < settings.attempts) {
      const ms = Math.min(settings.maxBackoffMs, settings.backoffMs * 2 ** Math.min(attempts - 1, 30));
      const pauseMs = Math.max(ms * (1 + random() / 4), verdict.afterMs);
      this.#putOff(job, attempts, wallMs() + pauseMs, verdict.problem);
      // All that came behind it in the lane waits in the store too.
      for (const follower of lane.queue.splice(0)) this.#putOff(follower, 0, 0, null);
      return;
    }
    counts.dead++;
    log.warn('an event became a dead letter', {
      consumer: settings.name,
      position: event.position,
      id: event.id,
      attempts,
      problem: verdict.problem,
    });
    const { problem } = verdict;
    this.#change(event.position, { kind: 'put', event, state: 'dead', attempts, nextMs: 0, problem });
    this.#finish(job);
    this.#next(lane);
  }

  #putOff(job: Job, attempts: number, nextMs: number, problem: string | null): void {
    const { event } = job;
    this.#keep({ position: event.position, key: event.key, attempts, nextMs });
    this.#change(event.position, { kind: 'put', event, state: 'retry', attempts, nextMs, problem });
    this.#finish(job);
  }

  #unkeep(lane: Lane, position: string): void {
    // Not always the first any more: one that is replayed may have come in front of it.
    lane.kept.splice(
      lane.kept.findIndex((kept) => kept.position === position),
      1,
    );
    this.#keptCount--;
    if (lane.kept.length === 0) this.#waiting.delete(lane);
  }

  /** The lane's next one may go: rows by `#look`, which fetches them. */
  #next(lane: Lane): void {
    if (lane.kept.length > 0) return;
    const job = lane.queue.shift();
    if (job !== undefined) this.#makeReady(job);
    else this.#lanes.delete(lane.key);
  }

  // --- rows whose time has come --------------------------------------------------------------------------------------

  #look(): void {
    if (this.#isOver) return;
    this.#pump();
    if (this.#waiting.size > 0 && !this.#isLoading) {
      this.#loadDue().catch((error: unknown) => {
        this.#isLoading = false;
        this.#problem = messageOf(error);
      });
    }
    if (this.#hasRoom) this.#reader?.resume();
    if (this.#written !== undefined && this.#written !== this.position) this.#writeSoon();
  }

  async #loadDue(): Promise<void> {
    const { settings, store, wallMs } = this.#parts;
    const nowMs = wallMs();
    const room = 2 * settings.concurrency - this.#ready.length;
    const due: { lane: Lane; kept: KeptDelivery }[] = [];
    for (const lane of this.#waiting) {
      if (due.length >= room) break;
      const [kept] = lane.kept;
      if (kept === undefined || lane.isBusy || kept.nextMs > nowMs) continue;
      due.push({ lane, kept });
    }
    if (due.length === 0) return;
    this.#isLoading = true;
    // A row may still be on its way there.
    const inHand = (position: string): StoredEvent | undefined => {
      const change = this.#changes.get(position) ?? this.#writingChanges.get(position);
      return change?.kind === 'put' ? change.event : undefined;
    };
    const wanted = due.map(({ kept }) => kept.position).filter((position) => inHand(position) === undefined);
    const found = wanted.length === 0 ? new Map<string, StoredEvent>() : await store.events(settings.name, wanted);
    this.#isLoading = false;
    if (this.#isOver) return;
    for (const { lane, kept } of due) {
      if (lane.isBusy || lane.kept[0] !== kept) continue;
      const event = found.get(kept.position) ?? inHand(kept.position);
      if (event === undefined) {
        // Somebody removed it from the database.
        this.#unkeep(lane, kept.position);
        this.#next(lane);
        continue;
      }
      this.#makeReady({ event, lane, attempts: kept.attempts, isKept: true, before: null });
    }
    this.#pump();
  }

  // --- writing down --------------------------------------------------------------------------------------------------

  /** It counts as done as soon as what is to be known of it is among the changes: those are written with the cursor. */
  #finish(job: Job): void {
    if (!job.isKept && this.#outstanding.delete(job.event.position)) {
      this.#outstandingBytes -= job.event.data.byteLength;
      if (this.#outstanding.size < WINDOW_EVENTS / 2 && this.#hasRoom) this.#reader?.resume();
    }
    this.#writeSoon();
  }

  #change(position: string, change: RowChange): void {
    this.#changes.set(position, change);
    this.#writeSoon();
  }

  #writeSoon(afterMs = WRITE_AFTER_MS): void {
    if (this.#writing !== null || this.#writeTimer !== undefined || this.#isLeft) return;
    this.#writeTimer = setTimeout(() => {
      this.#writeTimer = undefined;
      void this.#write().catch(() => {});
    }, afterMs);
  }

  async #write(): Promise<void> {
    const { settings, store, streamTag } = this.#parts;
    const { position } = this;
    const changes = this.#changes;
    if (changes.size === 0 && position === this.#written) return;
    this.#changes = new Map();
    this.#writingChanges = changes;
    this.#writing = store.write(settings.name, streamTag, position, changes);
    try {
      await this.#writing;
      this.#written = position;
      this.#writingChanges = new Map();
      this.#writing = null;
      if (this.#changes.size > 0) this.#writeSoon();
    } catch (error) {
      // The newer word about a row wins.
      this.#changes = new Map([...changes, ...this.#changes]);
      this.#writingChanges = new Map();
      this.#writing = null;
      this.#problem = messageOf(error);
      if (!this.#isOver) this.#writeSoon(WRITE_AGAIN_AFTER_MS);
      throw error;
    }
  }
}
