/**
 * Upstream instances as real processes that a test can kill, stop, restart and make misbehave, with one journal of
 * everything that any of them was ever asked. They end with their test, also those that are stopped.
 */
import type { ChildProcess } from 'node:child_process';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pauseProcess } from './pause.ts';
import type { Scope } from './scope.ts';

/**
 * How an instance answers. `slow`: each answer takes so long; `busy`: so long, and so many at a time, the rest wait.
 */
export type Mood =
  | { readonly kind: 'well' | 'errors' | 'resets' | 'garbage' }
  | { readonly kind: 'slow'; readonly ms: number }
  | { readonly kind: 'busy'; readonly ms: number; readonly places: number };

/** Where an instance registers itself, with the product's own library. */
export interface Registration {
  readonly gateway: string;
  readonly token: string;
  readonly service: string;
  readonly lease: string;
}

export type ToInstance =
  | { readonly kind: 'mood'; readonly mood: Mood; readonly number: number }
  | ({ readonly kind: 'register' } & Registration);

export type FromInstance =
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'mood'; readonly number: number }
  | { readonly kind: 'registered' };

const PROGRAM = new URL('./instance-main.ts', import.meta.url);

export class Instance {
  readonly name: string;
  readonly host: string;
  port: number;
  readonly #journal: string;
  #process: ChildProcess | null = null;
  #moods = 0;

  constructor(name: string, host: string, port: number, journal: string) {
    this.name = name;
    this.host = host;
    this.port = port;
    this.#journal = journal;
  }

  get url(): string {
    return `http://${this.host}:${this.port}`;
  }

  /** Starts it, for the first time or again on the port that it had. Resolves when it listens. */
  async start(): Promise<void> {
    const child = fork(PROGRAM, [this.name, this.host, String(this.port), this.#journal], { execArgv: [] });
    this.#process = child;
    const started = await this.#hear(child, ({ kind }) => kind === 'listening');
    if (started.kind === 'listening') this.port = started.port;
  }

  /** Resolves when it has taken the mood: every request from here on is treated so. */
  async become(mood: Mood): Promise<void> {
    const child = this.#running();
    const number = ++this.#moods;
    const taken = this.#hear(child, (message) => message.kind === 'mood' && message.number === number);
    child.send({ kind: 'mood', mood, number } satisfies ToInstance);
    await taken;
  }

  /** Resolves when the gateway has taken it. */
  async register(registration: Registration): Promise<void> {
    const child = this.#running();
    const taken = this.#hear(child, ({ kind }) => kind === 'registered');
    child.send({ kind: 'register', ...registration } satisfies ToInstance);
    await taken;
  }

  /** SIGKILL: no goodbye, its sockets are closed by the kernel. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (child === null) return;
    this.#process = null;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  /** SIGSTOP: it accepts connections and says nothing, as a machine does that hangs. */
  stop(): void {
    pauseProcess(this.#running().pid!);
  }

  resume(): void {
    this.#running().kill('SIGCONT');
  }

  #running(): ChildProcess {
    if (this.#process === null) throw new TypeError(`instance ${this.name} does not run`);
    return this.#process;
  }

  #hear(child: ChildProcess, wanted: (message: FromInstance) => boolean): Promise<FromInstance> {
    return new Promise((resolve, reject) => {
      const onMessage = (message: unknown): void => {
        if (!wanted(message as FromInstance)) return;
        child.off('message', onMessage);
        child.off('exit', onExit);
        resolve(message as FromInstance);
      };
      const onExit = (): void => reject(new Error(`instance ${this.name} ended`));
      child.on('message', onMessage);
      child.once('exit', onExit);
    });
  }
}

export interface JournalEntry {
  readonly instance: string;
  readonly method: string;
  readonly url: string;
}

export class Fleet {
  readonly instances: Instance[] = [];
  readonly #test: Scope;
  readonly #journal: string;

  private constructor(test: Scope, journal: string) {
    this.#test = test;
    this.#journal = journal;
  }

  /** Starts an instance for each name, all at once. */
  static async start(test: Scope, names: readonly string[]): Promise<Fleet> {
    const folder = await mkdtemp(join(tmpdir(), 'gh-fleet-'));
    test.after(() => rm(folder, { recursive: true, force: true }));
    const journal = join(folder, 'journal');
    await writeFile(journal, '');
    const fleet = new Fleet(test, journal);
    await Promise.all(names.map((name) => fleet.add(name)));
    return fleet;
  }

  /** Starts one more; `host` is a loopback address. */
  async add(name: string, host = '127.0.0.1', port = 0): Promise<Instance> {
    const instance = new Instance(name, host, port, this.#journal);
    this.instances.push(instance);
    this.#test.after(() => instance.kill());
    await instance.start();
    return instance;
  }

  get(name: string): Instance {
    const found = this.instances.find((instance) => instance.name === name);
    if (found === undefined) throw new TypeError(`there is no instance ${name}`);
    return found;
  }

  /** Every request that any instance has begun, oldest first. */
  async journal(): Promise<JournalEntry[]> {
    const text = await readFile(this.#journal, 'utf8');
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const [instance = '', method = '', url = ''] = line.split(' ');
        return { instance, method, url };
      });
  }
}
