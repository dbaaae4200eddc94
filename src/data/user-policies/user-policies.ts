/**
 * The users' policies of one worker. `load` runs before a snapshot is applied: it imports what the snapshot names and
 * checks the options, so that nothing asynchronous is left for `acquire`, which the policy `use` calls for each route.
 * One policy with the same options is created once and shared by all routes, and over reloads, until nobody uses it.
 */

import { threadId } from 'node:worker_threads';
import type { Clock } from '../../base/clock.ts';
import { FAULTS, type FaultKind, messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { inSlices, type Steps } from '../../base/slices.ts';
import { type Cancel, every } from '../../base/system-timers.ts';
import type { ControlLink, PolicyEnvironment, PolicyHooks } from '../contract/policy.ts';
import { nameHooks } from '../contract/policy-names.ts';
import {
  BROKEN_POLICIES_TOPIC,
  idOf,
  MAX_POLICIES,
  POLICY_TABLE_TOPIC,
  type PolicyEntry,
  type PolicyTable,
  PolicyWatch,
  textsId,
} from '../contract/policy-watch.ts';
import type { ModuleSettings, Secrets, Snapshot } from '../contract/snapshot.ts';
import type { TransformSettings } from '../contract/transform.ts';
import type { HandlerDefinition, TransformDefinition } from '../contract/user-handler.ts';
import type { UserPolicyHooks } from '../contract/user-policy.ts';
import { useOwnWebClasses } from '../web/globals.ts';
import { checkedOptions, definitionOf, handlerOf, type ModuleKind, schemaOf, transformOf } from './definition.ts';
import { guarded, refuseStrangeHooks } from './guarded.ts';
import { HookGuard } from './hook-guard.ts';
import { areGlobalsSpoiled, loadedModules, loadModule, refuseChangedGlobals, restoreGlobals } from './load-module.ts';
import { resolveBeside } from './resolve-beside.ts';

/** What one entry of `use` compiles to. */
export interface UseSettings extends ModuleSettings {
  readonly onBroken: 'fail' | 'skip';
}

interface Loaded {
  readonly module: Readonly<Record<string, unknown>>;
  readonly entry: PolicyEntry;
}

/** A handler or a transform, ready to be called. */
export interface AcquiredModule<Definition> {
  readonly definition: Definition;
  readonly guard: HookGuard;
  /** Checked. */
  readonly options: unknown;
  readonly log: Logger;
}

interface Made {
  readonly hooks: PolicyHooks;
  readonly guard: HookGuard;
  readonly id: string;
  readonly dispose: (() => void) | undefined;
  users: number;
}

export class UserPolicies {
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #control: ControlLink;
  readonly #watch = new PolicyWatch();
  readonly #slots = new Map<string, PolicyEntry>();
  readonly #loaded = new Map<string, Loaded>();
  /** Options as `create` gets them, by `keyOf`. */
  readonly #options = new Map<string, unknown>();
  readonly #made = new Map<string, Made>();
  /** Guards of handlers and transforms in use, by `keyOf`. */
  readonly #guards = new Map<string, { readonly guard: HookGuard; readonly id: string }>();
  #heart: Cancel | null = null;
  #broken: ReadonlySet<string> = new Set();

  static of(environment: PolicyEnvironment): UserPolicies {
    return environment.perWorker('user-policies', () => new UserPolicies(environment));
  }

  private constructor({ log, clock, control }: PolicyEnvironment) {
    this.#log = log;
    this.#clock = clock;
    this.#control = control;
    control.subscribe(BROKEN_POLICIES_TOPIC, (data) => this.#onBroken(data as readonly string[]));
  }

  /** Rejects, naming the file, when one is no policy or its options do not fit: the snapshot is refused. */
  async load(snapshot: Snapshot, secrets: Secrets): Promise<void> {
    const wanted = new Map(
      (await inSlices(modulesOf(snapshot))).map((each) => [keyOf(each.kind, each.settings), each] as const),
    );
    if (wanted.size === 0 && this.#loaded.size === 0) return;
    if (wanted.values().some(({ kind }) => kind === 'handler')) useOwnWebClasses();
    for (const [key, { kind, settings }] of wanted) {
      try {
        const { module } = await this.#module(kind, settings, secrets);
        if (!this.#options.has(key))
          this.#options.set(key, await checkedOptions(schemaOf(module, kind), settings.options));
      } catch (error) {
        throw new TypeError(`${kind} ${settings.file}: ${messageOf(error)}`);
      }
    }
    this.#beat();
    this.#forget(wanted);
    const table: PolicyTable = {
      thread: threadId,
      memory: this.#watch.memory,
      policies: [...this.#slots.values()],
      modules: loadedModules(),
    };
    this.#control.tell(POLICY_TABLE_TOPIC, table);
  }

  /** The guarded hooks; `dispose` of the result releases them. */
  acquire(settings: UseSettings): PolicyHooks {
    const key = keyOf('policy', settings);
    let made = this.#made.get(key);
    if (made === undefined) {
      made = this.#create(settings, key);
      this.#made.set(key, made);
    }
    const own = made;
    own.users++;
    return { ...own.hooks, dispose: () => this.#release(key, own) };
  }

  handler(settings: ModuleSettings): AcquiredModule<HandlerDefinition> {
    const faults = { failed: FAULTS.handlerFailed, timeout: FAULTS.handlerTimeout };
    return this.#acquired('handler', settings, handlerOf, faults);
  }

  transform(settings: ModuleSettings): AcquiredModule<TransformDefinition> {
    return this.#acquired('transform', settings, transformOf);
  }

  #acquired<Definition>(
    kind: ModuleKind,
    settings: ModuleSettings,
    read: (module: Loaded['module']) => Definition,
    faults?: { readonly failed: FaultKind; readonly timeout: FaultKind },
  ): AcquiredModule<Definition> {
    const key = keyOf(kind, settings);
    const { module, entry } = this.#loadedOf(settings);
    const log = this.#log.child({ [kind]: entry.name });
    const guard = this.#guards.get(key)?.guard ?? this.#guard(entry, log, settings, 'fail', faults);
    this.#guards.set(key, { guard, id: idOf(settings) });
    return { definition: read(module), guard, options: this.#options.get(key), log };
  }

  #loadedOf(settings: ModuleSettings): Loaded {
    const loaded = this.#loaded.get(idOf(settings));
    if (loaded === undefined) throw new TypeError(`${settings.file} was not loaded`);
    return loaded;
  }

  #guard(
    entry: PolicyEntry,
    log: Logger,
    settings: ModuleSettings,
    onBroken: 'fail' | 'skip',
    faults?: { readonly failed: FaultKind; readonly timeout: FaultKind },
  ): HookGuard {
    const guard = new HookGuard({
      name: entry.name,
      slot: entry.slot,
      watch: this.#watch,
      log,
      timeoutMs: settings.timeoutMs,
      onBroken,
      nowMs: () => this.#clock.monotonicMs(),
      putBack: () => this.#putBack(entry),
      ...(faults === undefined ? {} : { faults }),
    });
    guard.isBroken = this.#broken.has(idOf(settings));
    return guard;
  }

  async #module(kind: ModuleKind, settings: ModuleSettings, secrets: Secrets): Promise<Loaded> {
    const id = idOf(settings);
    const known = this.#loaded.get(id);
    if (known !== undefined) return known;
    const module = await loadModule(settings.file, settings.version, secrets[textsId(settings)]);
    const name = kind === 'policy' ? definitionOf(module).name : this.#nameOf(settings.file);
    const before = this.#slots.get(name);
    if (before !== undefined && before.file !== settings.file)
      throw new TypeError(`its name "${name}" is the name of ${before.file}, too`);
    const slot = before?.slot ?? this.#slots.size;
    if (slot >= MAX_POLICIES) throw new TypeError(`there are more than ${MAX_POLICIES} policies`);
    const entry: PolicyEntry = { slot, name, file: settings.file, version: settings.version };
    this.#slots.set(name, entry);
    const loaded = { module, entry };
    this.#loaded.set(id, loaded);
    return loaded;
  }

  /** That of the file; with as many folders before it as it takes to be the only one. */
  #nameOf(file: string): string {
    const steps = file.replace(/\.[a-z]+$/, '').split(/[\\/]/);
    for (let from = steps.length - 1; from > 0; from--) {
      const name = steps.slice(from).join('/');
      const taken = this.#slots.get(name);
      if (taken === undefined || taken.file === file) return name;
    }
    return file;
  }

  /** A worker that stops beating while a promise is pending is in a loop behind an `await` (watchdog.ts). */
  #beat(): void {
    if (this.#heart !== null) return;
    let beats = 0;
    this.#heart = every(BEAT_EVERY_MS, () => {
      this.#watch.beat();
      if (++beats % LOOK_EVERY_BEATS === 0) this.#putBack(null);
    });
  }

  /**
   * Puts back what all code shares and says what was changed. `by`: who has just run; null: nobody knows who it was,
   * since all of them run in this thread.
   */
  #putBack(by: PolicyEntry | null): string {
    const { changed, isWhole } = restoreGlobals();
    if (areGlobalsSpoiled()) this.#watch.spoil();
    if (changed.length === 0) return '';
    const entries = [...this.#slots.values()];
    const suspects = by === null ? entries : [by, ...entries.filter((each) => this.#isWaiting(each) && each !== by)];
    this.#log.error(
      isWhole
        ? 'a policy changed what all code shares; it was put back'
        : 'a policy changed what all code shares for good; the worker is replaced',
      { changed: changed.slice(0, 10), policies: suspects.map(({ name }) => name) },
    );
    return `it changes ${changed.slice(0, 5).join(', ')}, which all code of the gateway shares`;
  }

  /** Between its asynchronous steps others run. */
  #isWaiting({ slot }: PolicyEntry): boolean {
    return this.#watch.pending(slot) > 0;
  }

  /** What neither the new snapshot names nor an exchange of an old one still runs. */
  #forget(wanted: ReadonlyMap<string, WantedModule>): void {
    const ids = new Set([...wanted.values()].map(({ settings }) => idOf(settings)));
    for (const key of this.#guards.keys()) if (!wanted.has(key)) this.#guards.delete(key);
    for (const id of this.#loaded.keys()) if (!ids.has(id)) this.#loaded.delete(id);
    for (const key of this.#options.keys()) if (!wanted.has(key)) this.#options.delete(key);
  }

  #create(settings: UseSettings, key: string): Made {
    const id = idOf(settings);
    const { module, entry } = this.#loadedOf(settings);
    const definition = definitionOf(module);
    const log = this.#log.child({ policy: entry.name });
    if (this.#broken.has(id)) return this.#createOutOfUse(settings, id, entry, log);
    let hooks: UserPolicyHooks;
    // Here, too, a loop has a name.
    this.#watch.enter(entry.slot);
    try {
      hooks = definition.create(this.#options.get(key), {
        log,
        clock: this.#clock,
        resolve: resolveBeside(settings.file),
      });
      refuseStrangeHooks(hooks, settings.onBroken);
      refuseChangedGlobals();
    } catch (error) {
      throw new TypeError(`policy ${settings.file}: ${messageOf(error)}`);
    } finally {
      this.#watch.leave();
      if (areGlobalsSpoiled()) this.#watch.spoil();
    }
    const guard = this.#guard(entry, log, settings, settings.onBroken);
    const guardedHooks = guarded(hooks, guard);
    nameHooks(guardedHooks, entry.name);
    return { hooks: guardedHooks, guard, id, dispose: hooks.dispose?.bind(hooks), users: 0 };
  }

  /** It may be its `create` that does not return, so that is not called; which hooks it has nobody knows then. */
  #createOutOfUse(settings: UseSettings, id: string, entry: PolicyEntry, log: Logger): Made {
    const guard = this.#guard(entry, log, settings, settings.onBroken);
    const hooks = settings.onBroken === 'skip' ? {} : guarded({ requestHead: () => undefined }, guard);
    return { hooks, guard, id, dispose: undefined, users: 0 };
  }

  #release(key: string, made: Made): void {
    if (--made.users > 0) return;
    if (this.#made.get(key) === made) this.#made.delete(key);
    try {
      made.dispose?.();
    } catch (error) {
      this.#log.error('a policy failed', { policy: made.id, phase: 'dispose', problem: messageOf(error) });
    }
  }

  #onBroken(ids: readonly string[]): void {
    this.#broken = new Set(ids);
    for (const { guard, id } of [...this.#made.values(), ...this.#guards.values()])
      guard.isBroken = this.#broken.has(id);
  }
}

const BEAT_EVERY_MS = 100;
/** Looking takes half a millisecond. */
const LOOK_EVERY_BEATS = 5;

interface WantedModule {
  readonly kind: ModuleKind;
  readonly settings: ModuleSettings;
}

/** Every module that a snapshot names. */
function* modulesOf({ routes }: Snapshot): Steps<WantedModule[]> {
  const found: WantedModule[] = [];
  for (const { action, policies } of routes) {
    if (action.kind === 'handler') found.push({ kind: 'handler', settings: action.handler });
    for (const { name, options } of policies) {
      if (name === 'use') found.push({ kind: 'policy', settings: options as UseSettings });
      if (name !== 'transform') continue;
      const { request, response } = options as TransformSettings;
      for (const settings of [request?.body?.script, response?.body?.script])
        if (settings != null) found.push({ kind: 'transform', settings });
    }
    yield;
  }
  return found;
}

/** Same file, same text, same options: the same policy. */
function keyOf(kind: ModuleKind, settings: ModuleSettings): string {
  const { onBroken = '' } = settings as Partial<UseSettings>;
  return `${kind}:${idOf(settings)}:${settings.timeoutMs}:${onBroken}:${JSON.stringify(settings.options)}`;
}
