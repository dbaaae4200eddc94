/**
 * One worker thread: takes snapshots, builds live objects, swaps them in, binds the listeners, drains at the end. It
 * joins the steps of the path; a request's own life is in exchange.ts. Everything comes by message from the main
 * thread (control/workers.ts) and by shared memory.
 */

import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { MessagePort } from 'node:worker_threads';
import { parentPort, workerData } from 'node:worker_threads';
import { BlockWriter } from '../base/block-writer.ts';
import { systemClock } from '../base/clock.ts';
import { messageOf, stackOf } from '../base/errors.ts';
import { createLogger, type LevelSetting } from '../base/log.ts';
import { MetricsBank } from '../base/metrics.ts';
import { releaseMemory } from '../base/release-memory.ts';
import { inSlices } from '../base/slices.ts';
import { every, pause } from '../base/system-timers.ts';
import { TimerWheel } from '../base/timers.ts';
import { IDENTITY_HEADERS } from './auth/identity-headers.ts';
import { AuthWorkerState } from './auth/worker-state.ts';
import { WorkerCache } from './cache/worker-cache.ts';
import { BridgeLink } from './channels/bridge-link.ts';
import { cacheSteps, compileSteps, keptSteps, type LiveConfig } from './config/compile-config.ts';
import { DrainingConfigs } from './config/draining-configs.ts';
import { preparePolicies } from './config/prepare-policies.ts';
import { ServiceSet } from './config/services.ts';
import { type AccessRecordSettings, RECORDS_SETTINGS_TOPIC, REOPEN_TOPIC } from './contract/access-records.ts';
import { ASKED_TOPIC } from './contract/asked.ts';
import { CHALLENGE_TOPIC, type ChallengeCertificates } from './contract/challenge.ts';
import type { FromWorker, ToWorker, WorkerStart } from './contract/messages.ts';
import type { PolicyDefinition, PolicyEnvironment } from './contract/policy.ts';
import { PULSE_EVERY_MS, PULSE_TOPIC, pulseOf, RESOLUTION_MS } from './contract/pulse.ts';
import { receiveSteps } from './contract/receive-snapshot.ts';
import { SECURITY_EVENTS_TOPIC, SECURITY_WANTED_TOPIC, type SecurityBatch } from './contract/security-events.ts';
import type { RouteSettings, Secrets, ServiceSettings, Snapshot } from './contract/snapshot.ts';
import type { Received, SnapshotHead } from './contract/snapshot-parts.ts';
import { TAIL_LINES_TOPIC, TAIL_TOPIC, type TailOrder } from './contract/tail.ts';
import { MessageControlLink } from './control-link.ts';
import { Tries } from './exchange/step-times.ts';
import { WorkerAbuse } from './limiter/worker-abuse.ts';
import { ChallengeResponder } from './listener/challenge.ts';
import { Listener } from './listener/listener.ts';
import { reserveIdentityNames } from './parser/field-names.ts';
import { POLICIES } from './policies/index.ts';
import { AccessLog } from './response/access-log.ts';
import { AccessRecords } from './response/access-record.ts';
import { SecurityWatch } from './response/security-watch.ts';
import { Tail } from './response/tail.ts';
import { WorkerRuntime } from './runtime.ts';
import { ServiceCalls } from './service-calls.ts';
import { Tracer } from './trace/tracer.ts';
import { UserPolicies } from './user-policies/user-policies.ts';

const ASKED_EVERY_MS = 1_000;
const DRAIN_POLL_MS = 50;
const MOST_ACCEPT_TURNS = 50;

/** For what belongs to the worker and to no route. */
const NO_ROUTE = { id: '', slot: 0 };

class DataWorker {
  readonly #start: WorkerStart;
  readonly #port: MessagePort;
  readonly #control: MessageControlLink;
  readonly #log;
  readonly #metrics: MetricsBank;
  readonly #wheel = new TimerWheel();
  readonly #logFile: BlockWriter;
  readonly #accessLog: AccessLog;
  readonly #services: ServiceSet;
  readonly #listeners = new Map<string, Listener>();
  readonly #challenges = new ChallengeResponder(() => this.#runtime!.limits.headTimeoutMs);
  readonly #former = new DrainingConfigs();
  readonly #calls = new ServiceCalls(() => this.#runtime);
  readonly #kept = new Map<string, unknown>();
  readonly #policies = new Map<string, PolicyDefinition<never, unknown>>(
    POLICIES.map((policy) => [policy.name, policy as PolicyDefinition<never, unknown>]),
  );
  /** What control has sent last, whether it was taken or not. */
  #newest: Received | null = null;
  readonly #logSetting: LevelSetting = { level: 'info' };
  #applied: Snapshot | null = null;
  #runtime: WorkerRuntime | null = null;
  #live: LiveConfig | null = null;
  #tail: Tail | null = null;
  /** A spare has no listeners until it is asked to. */
  #mayListen: boolean;
  /** Its listeners stand. Before that nobody may count on it, whatever it has taken meanwhile. */
  #isListening = false;
  /** Measures from then on: its timer wakes the thread fifty times a second, for nothing in a spare. */
  readonly #delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  /** Snapshots are applied one after the other. */
  #applying: Promise<void> = Promise.resolve();

  constructor(start: WorkerStart, port: MessagePort) {
    this.#start = start;
    this.#mayListen = !start.isSpare;
    this.#port = port;
    this.#control = new MessageControlLink((message) => this.#send(message), start.published);
    this.#setLogLevel(start.snapshot.rest);
    this.#log = createLogger(this.#logSetting, (line) => this.#send({ kind: 'logLine', line }), {
      worker: start.index,
      area: 'traffic',
    });
    this.#metrics = new MetricsBank(start.shared.metrics, start.index);
    this.#logFile = new BlockWriter(this.#log);
    this.#accessLog = new AccessLog((lines) => this.#writeAccessLog(lines), this.#metrics);
    this.#services = new ServiceSet({
      start,
      wheel: this.#wheel,
      clock: systemClock,
      log: this.#log,
      metrics: this.#metrics,
    });
    reserveIdentityNames(IDENTITY_HEADERS);
    this.#control.subscribe(CHALLENGE_TOPIC, (data) => this.#challenges.update(data as ChallengeCertificates));
    this.#control.subscribe(TAIL_TOPIC, (data) => this.#follow(data as TailOrder | null));
    this.#wheel.start();
    port.on('message', (message: ToWorker) => this.#onMessage(message));
    process.on('uncaughtException', (error) => this.#onUnwell(error));
    process.on('unhandledRejection', (reason) => this.#onRejection(reason));
    this.#beginPulse();
    this.#receive(start.snapshot, start.parts);
  }

  /** Loggers that were made follow. */
  #setLogLevel({ gateway }: Pick<Snapshot, 'gateway'>): void {
    this.#logSetting.level = gateway.logLevel;
    this.#logSetting.areas = gateway.logLevels;
  }

  #beginPulse(): void {
    every(ASKED_EVERY_MS, () => this.#tellAsked());
    every(PULSE_EVERY_MS, () => {
      if (!this.#isListening) return;
      this.#control.tell(PULSE_TOPIC, pulseOf(String(this.#start.index), this.#delays));
      this.#delays.reset();
    });
  }

  #writeAccessLog(lines: Uint8Array<ArrayBuffer>): void {
    if (this.#runtime?.live.gateway.accessLog === 'stdout')
      this.#port.postMessage({ kind: 'log', lines } satisfies FromWorker, [lines.buffer]);
    else this.#logFile.write(lines, (lost) => this.#accessLog.written(lines.length, lost, lines));
  }

  #follow(order: TailOrder | null): void {
    this.#tail?.close();
    this.#tail =
      order === null ? null : new Tail(order, (lines) => this.#control.tell(TAIL_LINES_TOPIC, lines), this.#metrics);
    if (this.#runtime !== null) this.#runtime.tail = this.#tail;
  }

  #send(message: FromWorker): void {
    this.#port.postMessage(message);
  }

  #onMessage(message: ToWorker): void {
    switch (message.kind) {
      case 'snapshot':
        this.#receive(message.snapshot, message.parts);
        break;
      case 'instances':
        this.#applyInstances(message.version, message.services);
        break;
      case 'publish':
        this.#control.onPublished(message.topic, message.data);
        break;
      case 'answer':
        this.#control.onAnswer(message.id, message.data, message.problem);
        break;
      case 'logWritten':
        this.#accessLog.written(message.bytes, message.lost);
        break;
      case 'calls':
        this.#calls.serve(message.port);
        BridgeLink.of(this.#environment(NO_ROUTE, {})).serve(message.port);
        break;
      case 'drain':
        void this.#drain(message.timeoutMs, message.lingerMs);
        break;
      case 'listen':
        this.#mayListen = true;
        this.#applying = this.#applying.then(() => this.#apply(this.#newest!));
        break;
      case 'leave':
        if (this.#runtime !== null) this.#runtime.leaving = true;
        break;
    }
  }

  #receive(head: SnapshotHead, parts: MessagePort): void {
    this.#applying = this.#applying.then(async () => {
      try {
        this.#newest = await inSlices(receiveSteps(head, parts, this.#newest));
      } catch (error) {
        // Control goes on from what it has sent.
        this.#onUnwell(error as Error);
        return;
      }
      await this.#apply(this.#newest);
    });
  }

  async #apply({ snapshot, secrets }: Received): Promise<void> {
    try {
      const isFirst = this.#runtime === null;
      // A spare that is asked to listen has it already.
      if (this.#applied !== snapshot) await this.#swap(snapshot, secrets);
      this.#applied = snapshot;
      this.#setLogLevel(snapshot);
      if (this.#mayListen) await this.#bind(snapshot, secrets);
      if (isFirst && this.#start.releasesMemory) releaseMemory();
      this.#send({ kind: 'applied', version: snapshot.version, isListening: this.#isListening });
    } catch (error) {
      this.#send({ kind: 'refused', version: snapshot.version, problem: messageOf(error) });
    }
  }

  /** Discovery found others: the services take them at once, and nothing else is looked at. */
  #applyInstances(version: number, changed: readonly ServiceSettings[]): void {
    const byName = new Map(changed.map((service) => [service.name, service]));
    this.#applying = this.#applying.then(async () => {
      const { snapshot: before, secrets } = this.#newest!;
      const services = before.services.map((service) => byName.get(service.name) ?? service);
      const snapshot: Snapshot = { ...before, version, services };
      this.#newest = { snapshot, secrets };
      try {
        await inSlices(this.#services.changeSteps(changed));
        this.#applied = snapshot;
        this.#send({ kind: 'applied', version, isListening: this.#isListening });
      } catch (error) {
        this.#send({ kind: 'refused', version, problem: messageOf(error) });
      }
    });
  }

  /** Builds everything aside; only when all of it stands does the pointer move. */
  async #swap(snapshot: Snapshot, secrets: Secrets): Promise<void> {
    await this.#logFile.target(snapshot.gateway.accessLog);
    const services = await this.#services.prepare(snapshot, secrets);
    const ofWorker = this.#environment(NO_ROUTE, secrets);
    const abuse = WorkerAbuse.of(ofWorker);
    await UserPolicies.of(ofWorker).load(snapshot, secrets);
    const environment = (route: Pick<RouteSettings, 'id' | 'slot'>) => this.#environment(route, secrets);
    const caches = await inSlices(cacheSteps(snapshot, () => this.#cache(secrets), this.#live));
    const kept = await inSlices(keptSteps(snapshot, this.#live, { secrets, caches, services }));
    const prepared = await preparePolicies(snapshot, this.#policies, environment, kept);
    const live = await inSlices(
      compileSteps(
        snapshot,
        {
          services,
          policies: this.#policies,
          environment,
          noRoute: NO_ROUTE,
          prepared,
          secrets,
          kept,
          caches,
          isBanned: (address) => abuse.isBanned(address),
          ended: (ended) => this.#former.ended(ended),
        },
        this.#live,
      ),
    );
    this.#live = live;
    const runtime = this.#runtime;
    if (runtime === null) {
      this.#runtime = new WorkerRuntime({
        clock: systemClock,
        wheel: this.#wheel,
        log: this.#log,
        metrics: this.#metrics,
        accessLog: this.#accessLog,
        abuse,
        streams: AuthWorkerState.of(ofWorker).streams,
        live,
        tail: this.#tail,
      });
      this.#followRecords(this.#runtime);
      Tracer.follow(this.#control, (tracer) => {
        this.#runtime!.tracer = tracer;
      });
      Tries.follow(this.#control, (tries) => {
        this.#runtime!.tries = tries;
      });
    } else {
      const old = runtime.live;
      runtime.live = live;
      await inSlices(this.#former.retireSteps(old, live));
    }
    await inSlices(this.#services.commitSteps(services));
  }

  async #bind(snapshot: Snapshot, secrets: Secrets): Promise<void> {
    const bound: { id: string; port: number }[] = [];
    const wanted = new Set(snapshot.listeners.map((listener) => listener.id));
    for (const [id, listener] of this.#listeners) {
      if (wanted.has(id)) continue;
      listener.retire();
      this.#listeners.delete(id);
    }
    for (const settings of snapshot.listeners) {
      const existing = this.#listeners.get(settings.id);
      if (existing !== undefined) {
        existing.update(settings, secrets);
        continue;
      }
      const listener = new Listener(settings, secrets, this.#runtime!, this.#challenges);
      bound.push({ id: settings.id, port: await listener.listen() });
      this.#listeners.set(settings.id, listener);
    }
    this.#isListening = true;
    this.#delays.enable();
    if (bound.length > 0) this.#send({ kind: 'listening', listeners: bound });
  }

  /** Form of the access log, and files that were moved away. */
  #followRecords(runtime: WorkerRuntime): void {
    this.#control.subscribe(RECORDS_SETTINGS_TOPIC, (data) => {
      runtime.records = data === null ? null : new AccessRecords(data as AccessRecordSettings);
    });
    this.#control.subscribe(SECURITY_WANTED_TOPIC, (wanted) => {
      runtime.security?.flush();
      const hand = (batch: SecurityBatch): void => this.#control.tell(SECURITY_EVENTS_TOPIC, batch);
      runtime.security = wanted === true ? new SecurityWatch(hand) : null;
    });
    this.#control.subscribe(REOPEN_TOPIC, () => {
      this.#accessLog.flush();
      this.#logFile
        .target(runtime.live.gateway.accessLog)
        .catch((error: unknown) =>
          this.#log.error('the access log cannot be opened anew', { error: messageOf(error) }),
        );
    });
  }

  #cache(secrets: Secrets): WorkerCache {
    const { shared, index } = this.#start;
    const { clock, control, log, perWorker } = this.#environment(NO_ROUTE, secrets);
    const cache = perWorker('cache', () => new WorkerCache(shared.cache, index, clock, control, log));
    cache.secrets = secrets;
    return cache;
  }

  #environment(route: Pick<RouteSettings, 'id' | 'slot'>, secrets: Secrets): PolicyEnvironment {
    return {
      routeId: route.id,
      routeSlot: route.slot,
      clock: systemClock,
      log: this.#log,
      shared: this.#start.shared,
      secrets,
      control: this.#control,
      count: (name, change) => this.#metrics.add(name, change),
      perWorker: <T>(name: string, make: () => T): T => {
        if (!this.#kept.has(name)) this.#kept.set(name, make());
        return this.#kept.get(name) as T;
      },
    };
  }

  #tellAsked(): void {
    const counts = this.#runtime?.asked.take() ?? null;
    if (counts !== null) this.#control.tell(ASKED_TOPIC, counts);
  }

  /** Stops accepting, lets what is in flight finish, cuts off what takes too long, and ends the thread. */
  async #drain(timeoutMs: number, lingerMs: number): Promise<void> {
    const runtime = this.#runtime;
    await this.#closeListeners();
    let cutOff = 0;
    if (runtime !== null) {
      runtime.leaving = true;
      await this.#emptied(runtime, lingerMs);
    }
    this.#calls.isDraining = true;
    if (runtime !== null) {
      runtime.draining = true;
      for (const connection of runtime.connections) connection.drain();
      await this.#emptied(runtime, timeoutMs);
      for (const connection of runtime.connections) {
        cutOff++;
        connection.abort();
      }
    }
    this.#calls.close();
    this.#services.dispose();
    this.#accessLog.flush();
    runtime?.tracer?.close();
    runtime?.security?.flush();
    this.#tail?.close();
    // What belongs to the worker gives back what it holds, such as granted quotas.
    for (const kept of this.#kept.values()) (kept as { close?(): void }).close?.();
    await this.#logFile.close();
    this.#wheel.stop();
    this.#tellAsked();
    this.#send({ kind: 'drained', cutOff });
    this.#port.close();
  }

  /**
   * Behind a turn of the event loop in which nobody came, if there is one soon: whoever waits to be accepted when the
   * socket closes is reset by the kernel, unless it may hand them on (`net.ipv4.tcp_migrate_req`).
   */
  async #closeListeners(): Promise<void> {
    const listeners = [...this.#listeners.values()];
    const taken = (): number => listeners.reduce((sum, listener) => sum + listener.taken, 0);
    for (let turn = 0, before = -1; turn < MOST_ACCEPT_TURNS && taken() !== before; turn++) {
      before = taken();
      await new Promise((resolve) => setImmediate(resolve));
    }
    for (const listener of listeners) listener.close();
  }

  /** Resolves when no connection is open and no call is under way, or the time is over. */
  async #emptied({ connections }: WorkerRuntime, withinMs: number): Promise<void> {
    const deadline = systemClock.monotonicMs() + withinMs;
    for (let leftMs = withinMs; leftMs > 0; leftMs = deadline - systemClock.monotonicMs()) {
      if (connections.size + this.#calls.active === 0) return;
      await pause(Math.min(leftMs, DRAIN_POLL_MS));
    }
  }

  #onRejection(reason: unknown): void {
    this.#log.error('unhandled promise rejection', { error: messageOf(reason), stack: stackOf(reason) });
    this.#send({ kind: 'rejection' });
  }

  #onUnwell(error: Error): void {
    this.#log.error('uncaught exception; replacing the worker', {
      error: error.message,
      stack: stackOf(error),
    });
    this.#send({ kind: 'unwell', problem: error.message });
  }
}

if (parentPort === null) throw new TypeError('data/worker.ts runs as a worker thread');
if (workerData !== null) begin(workerData as WorkerStart, parentPort);
// It has begun before there was a configuration.
else parentPort.once('message', (start: WorkerStart | null) => begin(start, parentPort!));

/** `start`: null where there will be no gateway. */
function begin(start: WorkerStart | null, port: MessagePort): void {
  if (start === null) port.close();
  else new DataWorker(start, port);
}
