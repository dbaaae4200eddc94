/**
 * The users' policies of one worker. `load` runs before a snapshot is applied: it imports what the snapshot names and
 * checks the options, so that nothing asynchronous is left for `acquire`, which the policy `use` calls for each route. One
 * policy with the same options is created once and shared by all routes, and over reloads, until nobody uses it.
 */
import { threadId } from 'node:worker_threads';
import type { Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { ControlLink, PolicyEnvironment, PolicyHooks } from '../contract/policy.ts';
import {
  BROKEN_POLICIES_TOPIC,
  idOf,
  MAX_POLICIES,
  POLICY_TABLE_TOPIC,
  type PolicyEntry,
  type PolicyTable,
  PolicyWatch,
} from '../contract/policy-watch.ts';
import type { Snapshot } from '../contract/snapshot.ts';
import type { UserPolicyDefinition, UserPolicyHooks } from '../contract/user-policy.ts';
import { checkedOptions, definitionOf } from './definition.ts';
import { guarded, refuseStrangeHooks } from './guarded.ts';
import { HookGuard } from './hook-guard.ts';
import { loadedModules, loadModule } from './load-module.ts';
import { resolveBeside } from './resolve-beside.ts';

/** What one entry of `use` compiles to. */
export interface UseSettings {
  /** Absolute path. */
  readonly file: string;
  /** Changes with the text of the file and of what it imports. */
  readonly version: string;
  readonly options: unknown;
  readonly timeoutMs: number;
  readonly onBroken: 'fail' | 'skip';
}

interface Loaded {
  readonly definition: UserPolicyDefinition<unknown>;
  readonly entry: PolicyEntry;
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
  async load(snapshot: Snapshot): Promise<void> {
    const wanted = new Map<string, UseSettings>();
    for (const { policies } of snapshot.routes)
      for (const { name, options } of policies)
        if (name === 'use') wanted.set(keyOf(options as UseSettings), options as UseSettings);
    if (wanted.size === 0 && this.#loaded.size === 0) return;
    for (const [key, settings] of wanted) {
      try {
        const { definition } = await this.#module(settings);
        if (!this.#options.has(key)) this.#options.set(key, await checkedOptions(definition, settings.options));
      } catch (error) {
        throw new TypeError(`policy ${settings.file}: ${messageOf(error)}`);
      }
    }
    this.#forget(wanted);
    const table: PolicyTable = {
      thread: threadId,
      memory: this.#watch.memory,
      policies: [...this.#slots.values()],
      modules: loadedModules(),
    };
    this.#control.tell(POLICY_TABLE_TOPIC, table);
  }

  /** The guarded hooks. They are let go of by `dispose` of what is returned. */
  acquire(settings: UseSettings): PolicyHooks {
    const key = keyOf(settings);
    let made = this.#made.get(key);
    if (made === undefined) {
      made = this.#create(settings, key);
      this.#made.set(key, made);
    }
    const own = made;
    own.users++;
    return { ...own.hooks, dispose: () => this.#release(key, own) };
  }

  async #module(settings: UseSettings): Promise<Loaded> {
    const id = idOf(settings);
    const known = this.#loaded.get(id);
    if (known !== undefined) return known;
    const definition = definitionOf(await loadModule(settings.file, settings.version));
    const { name } = definition;
    const before = this.#slots.get(name);
    if (before !== undefined && before.file !== settings.file)
      throw new TypeError(`its name "${name}" is the name of ${before.file}, too`);
    const slot = before?.slot ?? this.#slots.size;
    if (slot >= MAX_POLICIES) throw new TypeError(`there are more than ${MAX_POLICIES} policies`);
    const entry: PolicyEntry = { slot, name, file: settings.file, version: settings.version };
    this.#slots.set(name, entry);
    const loaded = { definition, entry };
    this.#loaded.set(id, loaded);
    return loaded;
  }

  /** What neither the new snapshot names nor an exchange of an old one still runs. */
  #forget(wanted: ReadonlyMap<string, UseSettings>): void {
    const ids = new Set([...wanted.values()].map(idOf));
    for (const id of this.#loaded.keys()) if (!ids.has(id)) this.#loaded.delete(id);
    for (const key of this.#options.keys()) if (!wanted.has(key)) this.#options.delete(key);
  }

  #create(settings: UseSettings, key: string): Made {
    const id = idOf(settings);
    const loaded = this.#loaded.get(id);
    if (loaded === undefined) throw new TypeError(`policy ${settings.file} was not loaded`);
    const { definition, entry } = loaded;
    const log = this.#log.child({ policy: entry.name });
    let hooks: UserPolicyHooks;
    try {
      hooks = definition.create(this.#options.get(key), {
        log,
        clock: this.#clock,
        resolve: resolveBeside(settings.file),
      });
      refuseStrangeHooks(hooks, settings.onBroken);
    } catch (error) {
      throw new TypeError(`policy ${settings.file}: ${messageOf(error)}`);
    }
    const guard = new HookGuard({
      name: entry.name,
      slot: entry.slot,
      watch: this.#watch,
      log,
      timeoutMs: settings.timeoutMs,
      onBroken: settings.onBroken,
      nowMs: () => this.#clock.monotonicMs(),
    });
    guard.isBroken = this.#broken.has(id);
    return { hooks: guarded(hooks, guard), guard, id, dispose: hooks.dispose?.bind(hooks), users: 0 };
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
    for (const { guard, id } of this.#made.values()) guard.isBroken = this.#broken.has(id);
  }
}

/** Same file, same text, same options: the same policy. */
function keyOf(settings: UseSettings): string {
  return `${idOf(settings)}:${settings.timeoutMs}:${settings.onBroken}:${JSON.stringify(settings.options)}`;
}
