/**
 * The life of the configuration: built (build.ts), published to all workers or to none, reloaded, tried without being
 * published, replaced, taken back. One change at a time. Owner of the document and of what it compiled to, which is
 * frozen; primary.ts has one and gives it the process around it. A bad document changes nothing and says everything
 * that is wrong with it.
 */
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { inSlices } from '../base/slices.ts';
import type { Snapshot } from '../data/contract/snapshot.ts';
import {
  type Build,
  type BuildResult,
  type Built,
  type BuiltConfig,
  firstOrder,
  type LoadOrder,
} from './config/build-order.ts';
import type { DiscoveredInstance, MoreInstances } from './config/compile/instances.ts';
import type { Compiled } from './config/compile.ts';
import { changedServices, type InstancesCompiled, withInstances } from './config/compile-instances.ts';
import type { Difference } from './config/difference.ts';
import { difference } from './config/difference.ts';
import type { Change, DocumentSource } from './config/document-source.ts';
import { fileKind } from './config/files.ts';
import type { History, Revision } from './config/history.ts';
import { hashOf } from './config/history.ts';
import { deepFreeze, freezeSteps, keepLiveSteps } from './config/keep-live.ts';
import type { ControlPlan } from './config/plan.ts';
import { changesThatNeedRestart } from './config/plan.ts';
import type { Problem } from './config/problems.ts';
import { ConfigurationError, formatProblem } from './config/problems.ts';
import { slotTableState } from './config/slots.ts';
import { Trials } from './config/trials.ts';
import { NEEDS_RESTART } from './log-words.ts';

export interface ReloadResult {
  readonly ok: boolean;
  /** Of the snapshot that is live now. */
  readonly version: number;
  readonly problems: readonly string[];
  /** Keys that take effect at the next start only; empty when all is live. */
  readonly restart: readonly string[];
}

export interface TrialResult {
  readonly ok: boolean;
  readonly problems: readonly Problem[];
  /** Against what is live. Null for a document that is wrong. */
  readonly difference: Difference | null;
  readonly restart: readonly string[];
}

/** What became of a wish to replace the document. */
export type ReplaceResult =
  | (ReloadResult & { readonly kind: 'done' | 'refused' })
  /** It was changed meanwhile; `hash` is what is live. */
  | { readonly kind: 'stale'; readonly hash: string }
  | { readonly kind: 'unwritable'; readonly reason: string };

export interface InstancesByHand extends Omit<MoreInstances, 'discovered'> {
  /** Services that have any of them. */
  readonly services: readonly string[];
}

/** What it needs of the process around it. */
export interface ConfigurationHost {
  readonly log: Logger;
  readonly source: DocumentSource;
  /** Loads, checks and compiles; nothing is published by it. */
  readonly build: Build;
  readonly history: (dataDir: string) => History;
  /** What operators changed beside the document (overrides.ts), put over what it compiled to. */
  overlay(snapshot: Snapshot): Snapshot;
  /** Instances that operators added and took out (overrides.ts). */
  byHand(): InstancesByHand;
  /** Fills in real ports; rejects when one cannot be had. */
  resolvePorts(snapshot: Snapshot): Promise<Snapshot>;
  /** What must happen before traffic sees it; a rejection refuses the configuration. */
  prepare(next: Compiled): Promise<void>;
  /** Clears shared memory for new owners and sends it to all workers; the problems of those that refuse it. */
  publish(snapshot: Snapshot, compiled: Compiled): Promise<readonly string[]>;
  /** The same where nothing but instances of services has changed. */
  publishInstances(snapshot: Snapshot, changed: InstancesCompiled): Promise<readonly string[]>;
  /** It is live everywhere. */
  applied(compiled: Compiled): void;
  /** Keys of features that take effect at the next start only. */
  restartKeys(next: Compiled): readonly string[];
}

export interface LastReload {
  readonly at: string;
  readonly ok: boolean;
  readonly problems: readonly string[];
}

export class LiveConfiguration {
  readonly #host: ConfigurationHost;
  readonly history: History;
  /** Of the start: what cannot change while the process runs is compared with this. */
  readonly #startPlan: ControlPlan;
  #config: BuiltConfig;
  #compiled: Compiled;
  #snapshot: Snapshot;
  #discovered: Readonly<Record<string, readonly DiscoveredInstance[]>> = {};
  #queue: Promise<unknown> = Promise.resolve();
  readonly #trials = new Trials<TrialResult>();
  #ended = false;
  #revision: Revision | null = null;
  /** True after going back: the source holds another document than the live one. */
  #differsFromSource = false;
  #lastReload: LastReload | null = null;
  #restart: readonly string[] = [];
  /** Programs cannot be made from their text again, so what they gave is kept while the process runs. */
  readonly #programs = new Map<number, LoadOrder>();

  /** Rejects with a `ConfigurationError`. Publishes nothing yet. */
  static async load(host: ConfigurationHost): Promise<LiveConfiguration> {
    const built = await host.build(firstOrder(host.source.order()));
    if (!built.ok) throw new ConfigurationError(built.problems);
    for (const problem of built.compiled.problems) host.log.warn(formatProblem(problem));
    const snapshot = await inSlices(freezeSteps(built.compiled.snapshot));
    return new LiveConfiguration(host, { ...built, compiled: { ...built.compiled, snapshot } });
  }

  private constructor(host: ConfigurationHost, { config, compiled }: Built) {
    this.#host = host;
    this.#config = config;
    this.#compiled = compiled;
    this.#snapshot = compiled.snapshot;
    this.#startPlan = compiled.plan;
    this.history = host.history(compiled.plan.dataDir);
  }

  get config(): BuiltConfig {
    return this.#config;
  }

  get compiled(): Compiled {
    return this.#compiled;
  }

  /** With the ports that listeners really have. */
  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  get lastReload(): LastReload | null {
    return this.#lastReload;
  }

  /** The `ETag` of the live document. */
  get hash(): string {
    const { text, json } = this.#config;
    return hashOf(this.#isProgram ? `${text}${json}` : text);
  }

  /** TypeScript and JavaScript: the text alone is not the document. */
  get #isProgram(): boolean {
    return this.#config.file !== null && fileKind(this.#config.file) === 'module';
  }

  /** What is live, who made it so, and whether it is what the source holds. */
  status() {
    return {
      version: this.#snapshot.version,
      revision: this.#revision,
      source: this.#host.source.name,
      readOnly: this.#host.source.whyReadOnly,
      differsFromSource: this.#differsFromSource,
      needsRestart: this.#restart,
      lastReload: this.#lastReload,
    };
  }

  /** Ports, before workers start. */
  async resolve(): Promise<Snapshot> {
    // What operators added and took out is kept in the data folder, which is known since the document is.
    const { services } = this.#host.byHand();
    const changed = services.length === 0 ? null : this.#withInstances(services, this.#snapshot.version);
    if (changed !== null) this.#compiled = changed.compiled;
    else if (services.length > 0) this.#host.log.warn('instances changed by hand do not fit the configuration');
    this.#snapshot = await this.#shown(this.#compiled.snapshot);
    return this.#snapshot;
  }

  /** With what operators changed, and real ports; what these two make anew is frozen again. */
  async #shown(snapshot: Snapshot): Promise<Snapshot> {
    return deepFreeze(await this.#host.resolvePorts(this.#host.overlay(snapshot)));
  }

  /** The first configuration is live: the history has it, and the source is watched. */
  async begun(): Promise<void> {
    await this.history.open().catch((error: unknown) => {
      this.#host.log.warn('the history of the configuration cannot be kept', { reason: messageOf(error) });
    });
    await this.#record({ author: 'start', reason: 'the gateway started' });
    this.#watch();
  }

  /** Reads the document anew and publishes it. */
  reload(change: Change): Promise<ReloadResult> {
    return this.#inTurn(async () => {
      const result = await this.#take(await this.#build(this.#host.source.order()), change);
      if (result.ok) this.#differsFromSource = false;
      return result;
    });
  }

  /** Publishes the same document with other instances, as discovery found them. */
  setDiscovered(discovered: Readonly<Record<string, readonly DiscoveredInstance[]>>): Promise<ReloadResult> {
    return this.#inTurn(async () => {
      const names = changedServices(this.#discovered, discovered);
      this.#discovered = discovered;
      return this.#publishServices(names);
    });
  }

  /** Publishes the same document after operators added instances to these services, or took some out. */
  instancesChanged(services: readonly string[]): Promise<ReloadResult> {
    return this.#inTurn(() => this.#publishServices(services));
  }

  async #publishServices(names: readonly string[]): Promise<ReloadResult> {
    // Services leave while the gateway ends: their addresses are not needed.
    if (this.#ended || names.length === 0)
      return { ok: true, version: this.#snapshot.version, problems: [], restart: this.#restart };
    const changed = this.#withInstances(names, this.#snapshot.version + 1);
    return changed === null ? await this.#publishAgain() : await this.#publishInstances(changed);
  }

  async #publishAgain(): Promise<ReloadResult> {
    const built = await this.#build(this.#config.again);
    return built.ok ? await this.#publish(built) : this.#refused(built.problems.map(formatProblem));
  }

  #withInstances(names: readonly string[], version: number): InstancesCompiled | null {
    return withInstances(this.#config, this.#compiled, this.#more(), names, version);
  }

  #more(): MoreInstances {
    const { added, removed } = this.#host.byHand();
    return { discovered: this.#discovered, added, removed };
  }

  async #publishInstances(changed: InstancesCompiled): Promise<ReloadResult> {
    const host = this.#host;
    const [before, compiledBefore] = [this.#snapshot, this.#compiled];
    const { compiled } = changed;
    const shown = host.overlay(compiled.snapshot);
    const names = new Set(changed.services.map(({ name }) => name));
    const ofNames = (services: Snapshot['services']) => services.filter(({ name }) => names.has(name));
    // Listeners have their real ports already.
    const snapshot: Snapshot = deepFreeze({ ...shown, listeners: before.listeners });
    this.#compiled = compiled;
    const problems = await host.publishInstances(snapshot, { compiled, services: ofNames(snapshot.services) });
    if (problems.length > 0) {
      this.#compiled = compiledBefore;
      this.#snapshot = Object.freeze({ ...before, version: snapshot.version + 1 });
      const former = { ...compiledBefore, fresh: NOTHING_FRESH };
      await host.publishInstances(this.#snapshot, { compiled: former, services: ofNames(before.services) });
      return this.#refused(problems);
    }
    this.#snapshot = snapshot;
    host.applied(compiled);
    return { ok: true, version: snapshot.version, problems: [], restart: this.#restart };
  }

  /** Publishes the same document again, after what is put over it changed. */
  republish(): Promise<ReloadResult> {
    return this.#inTurn(() => {
      const { snapshot, ...compiled } = this.#compiled;
      const again = Object.freeze({ ...snapshot, version: this.#snapshot.version + 1 });
      return this.#publish({
        ok: true,
        config: this.#config,
        compiled: { ...compiled, snapshot: again, fresh: NOTHING_FRESH, problems: [] },
      });
    });
  }

  /** Builds the same document again and publishes it, after what it reads beside itself changed: a certificate. */
  rebuild(): Promise<ReloadResult> {
    return this.#inTurn(() => this.#publishAgain());
  }

  /** Absolute path of what it was started with; null: an object of the embedding program. */
  get file(): string | null {
    return this.#config.file;
  }

  /** What a text, or without one the source as it is now, would change. Publishes nothing. */
  tryOut(text?: string): Promise<TrialResult> {
    const { source } = this.#host;
    if (text !== undefined) return this.#trials.run(null, () => this.tryOrder(source.orderFor(text)));
    return this.#trials.run('source', () => this.tryOrder(source.order()));
  }

  /** What a document of another source would change, at once. Publishes nothing. */
  async tryOrder(order: LoadOrder): Promise<TrialResult> {
    return this.#judge(await this.#build(order));
  }

  /** What a revision of the history would change. Null when it is not there or cannot be restored. */
  async tryRevision(revision: number): Promise<TrialResult | null> {
    const order = await this.#orderOf(revision);
    return order === null ? null : await this.#trials.run(`revision ${revision}`, () => this.tryOrder(order));
  }

  /** Checks, writes and publishes another document; all three or none. `ifHash` guards against a change in between. */
  replace(text: string, change: Change, ifHash: string | null): Promise<ReplaceResult> {
    return this.#inTurn(async () => {
      const { source } = this.#host;
      if (ifHash !== null && ifHash !== this.hash) return { kind: 'stale', hash: this.hash };
      if (source.whyReadOnly !== null) return { kind: 'unwritable', reason: source.whyReadOnly };
      return this.#written(text, await this.#build(source.orderFor(text)), change);
    });
  }

  /**
   * Makes a revision live again: by default the newest that is not what is live. With `write` the source gets it too;
   * without, its next change, or a reload, ends it.
   */
  goBack(revision: number | null, change: Change, write: boolean): Promise<ReplaceResult | null> {
    return this.#inTurn(async () => {
      const wanted = revision ?? this.history.list().find(({ hash }) => hash !== this.hash)?.revision;
      const built = wanted === undefined ? null : await this.#buildRevision(wanted);
      if (built === null) return null;
      const { source } = this.#host;
      if (write && source.whyReadOnly !== null) return { kind: 'unwritable', reason: source.whyReadOnly };
      if (write && built.ok) return this.#written(built.config.text, built, change);
      const result = await this.#take(built, change);
      if (result.ok) this.#differsFromSource = true;
      return { kind: result.ok ? 'done' : 'refused', ...result };
    });
  }

  async #written(text: string, built: BuildResult, change: Change): Promise<ReplaceResult> {
    const { source } = this.#host;
    const before = this.#config.text;
    const trial = this.#judge(built);
    if (!trial.ok) return { kind: 'refused', ...this.#refused(trial.problems.map(formatProblem)) };
    try {
      await source.write(text);
    } catch (error) {
      return { kind: 'unwritable', reason: messageOf(error) };
    }
    const result = await this.#take(built, change);
    if (result.ok) this.#differsFromSource = false;
    else await source.write(before).catch((error: unknown) => this.#host.log.error(messageOf(error)));
    return { kind: result.ok ? 'done' : 'refused', ...result };
  }

  async #buildRevision(revision: number): Promise<BuildResult | null> {
    const order = await this.#orderOf(revision);
    return order === null ? null : await this.#build(order);
  }

  async #orderOf(revision: number): Promise<LoadOrder | null> {
    const program = this.#programs.get(revision);
    if (program !== undefined) return program;
    const entry = await this.history.read(revision);
    return entry === null || !entry.restorable ? null : this.#host.source.orderFor(entry.text);
  }

  #judge(built: BuildResult): TrialResult {
    if (!built.ok) return { ok: false, problems: built.problems, difference: null, restart: [] };
    const { compiled } = built;
    return {
      ok: true,
      problems: compiled.problems,
      difference: difference(this.#compiled, compiled),
      restart: this.#restartKeys(compiled),
    };
  }

  /** Publishes what was built, and says in log, status and history what became of it. */
  async #take(built: BuildResult, change: Change): Promise<ReloadResult> {
    const result = built.ok ? await this.#publish(built) : this.#refused(built.problems.map(formatProblem));
    const { log } = this.#host;
    this.#lastReload = { at: new Date().toISOString(), ok: result.ok, problems: result.problems };
    if (result.ok) {
      await this.#record(change);
      log.info('the configuration was reloaded', { ...change, version: result.version });
    } else {
      log.error('the configuration was not reloaded, the old one stays', { ...change, problems: result.problems });
    }
    return result;
  }

  async #record(change: Change): Promise<void> {
    const isProgram = this.#isProgram;
    const { name } = this.#host.source;
    this.#revision = await this.history.record(this.#config.text, change, name, !isProgram, this.hash);
    if (!isProgram) return;
    this.#programs.set(this.#revision.revision, this.#config.again);
    for (const revision of [...this.#programs.keys()].slice(0, -MOST_PROGRAMS)) this.#programs.delete(revision);
  }

  async #publish({ config, compiled }: Built): Promise<ReloadResult> {
    const host = this.#host;
    if (this.#ended) return this.#refused(['the gateway is shutting down']);
    const before = this.#compiled;
    let snapshot: Snapshot;
    try {
      await host.prepare(compiled);
      snapshot = await this.#shown(compiled.snapshot);
    } catch (error) {
      return this.#refused([messageOf(error)]);
    }
    this.#compiled = compiled;
    const problems = await host.publish(snapshot, compiled);
    if (problems.length > 0) {
      // All workers must agree: what some refused, the others give back.
      this.#compiled = before;
      this.#snapshot = Object.freeze({ ...this.#snapshot, version: snapshot.version + 1 });
      await host.publish(this.#snapshot, { ...before, fresh: NOTHING_FRESH });
      return this.#refused(problems);
    }
    this.#config = config;
    this.#snapshot = snapshot;
    this.#restart = this.#restartKeys(compiled);
    if (this.#restart.length > 0) host.log.warn(NEEDS_RESTART, { keys: this.#restart });
    for (const problem of compiled.problems) host.log.warn(formatProblem(problem));
    this.#watch();
    host.applied(compiled);
    return { ok: true, version: snapshot.version, problems: [], restart: this.#restart };
  }

  /** What stays as it is in the live one keeps its objects. */
  async #build(load: LoadOrder): Promise<BuildResult> {
    const built = await this.#host.build({
      load,
      isBeside: true,
      version: this.#snapshot.version + 1,
      slots: slotTableState(this.#compiled.slots),
      // Built-in services listen where they began to, whatever a new document says.
      dataDir: this.#startPlan.dataDir,
      more: this.#more(),
    });
    if (!built.ok) return built;
    const snapshot = await inSlices(keepLiveSteps(built.compiled.snapshot, this.#compiled.snapshot));
    return { ...built, compiled: { ...built.compiled, snapshot } };
  }

  #restartKeys(next: Compiled): string[] {
    return [...changesThatNeedRestart(this.#startPlan, next.plan), ...this.#host.restartKeys(next)];
  }

  #refused(problems: readonly string[]): ReloadResult {
    return { ok: false, version: this.#snapshot.version, problems, restart: [] };
  }

  #watch(): void {
    const { source } = this.#host;
    const { plan } = this.#compiled;
    if (!plan.watch) source.close();
    else source.watch([...plan.files, ...this.#config.files], (change) => void this.reload(change));
  }

  /** Nothing changes until the result is called. Resolves when the change that is under way is done. */
  pause(): Promise<() => void> {
    const { promise, resolve: goOn } = Promise.withResolvers<void>();
    return new Promise((paused) => {
      void this.#inTurn(() => {
        paused(goOn);
        return promise;
      });
    });
  }

  /** The source is not looked at any more. */
  close(): void {
    this.#host.source.close();
  }

  /**
   * Nothing is published from now on: what a publication starts would never end. Resolves when the last one is
   * done.
   */
  async end(): Promise<void> {
    this.#ended = true;
    await this.#queue;
  }

  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(task);
    this.#queue = result.catch(() => {});
    return result;
  }
}

const MOST_PROGRAMS = 5;
const NOTHING_FRESH: Compiled['fresh'] = { services: [], instances: [], routes: [] };
