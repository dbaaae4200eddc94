/**
 * `gatehouse dev`: runs a gateway while its configuration is being edited. A process of its own runs `start`; what
 * it logs is written for people, what cannot be reloaded starts it again, and a file with mistakes is waited for.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type FSWatcher, watch } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { ownScript } from '../base/own-script.ts';
import { readFailure } from '../base/read-failure.ts';
import { CONSOLE_VARIABLE } from '../control/console-variable.ts';
import { LISTENS, NEEDS_RESTART } from '../control/log-words.ts';
import type { Command, CommandContext } from './command.ts';
import { EXIT, UnreachableError } from './command.ts';
import { configFile } from './config-file.ts';
import { callSocket, findSocket } from './control-socket.ts';
import { DEV_PARENT } from './npm-parent.ts';
import { openBrowser } from './open-browser.ts';
import { colours, prettyLine } from './pretty-line.ts';

/** SIGHUP is a terminal that was closed, which to the gateway itself would mean a reload; SIGQUIT is Ctrl+\. */
const ENDING = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'] as const;
/** An editor writes a file in several steps. */
const SETTLED_MS = 100;

export const dev: Command = {
  name: 'dev',
  summary: 'run a gateway while you change it, with a log for people',
  usage: ['[FILE] [--no-console]'],
  description: `Runs "gatehouse start" in a process of its own, reloads it when FILE changes, starts it again when a change cannot be reloaded, and waits for the next change while FILE is wrong. Log and access log are written one short line each; in colours on a terminal, unless NO_COLOR is set.

On a terminal it prints a link to the console that signs in once, and opens it in a browser where there is one (BROWSER names another, or none). Where the configuration has no "admin" the console is on a free port of this machine alone.

SIGTERM, SIGINT (Ctrl+C) and closing the terminal end it once what is in flight is finished; a second one ends it at once. Exit codes: 0 ended, 5 something stands in the way, such as a port in use.`,
  options: { 'no-console': { type: 'boolean', meaning: 'neither make nor open a console' } },
  arguments: { min: 0, max: 1 },
  isService: true,
  async run(context) {
    const file = configFile(context.positionals[0], context);
    const development = new Development(file, context);
    return await development.run();
  },
};

class Development {
  readonly #file: string;
  readonly #context: CommandContext;
  readonly #paint: (line: string) => string;
  #child: ChildProcess | undefined;
  readonly #hasConsole: boolean;
  #isEnding = false;
  #wasOpened = false;
  #again = false;
  #settling: NodeJS.Timeout | undefined;
  /** Since the present process began. What it has read may be older. */
  #hasChanged = false;

  constructor(file: string, context: CommandContext) {
    this.#file = file;
    this.#context = context;
    const isTerminal = process.stdout.isTTY === true;
    this.#hasConsole = isTerminal && context.options['no-console'] !== true;
    const paint = colours(context.env, isTerminal);
    this.#paint = (line) => prettyLine(line, paint);
  }

  async run(): Promise<number> {
    const { signals } = this.#context;
    const end = (): void => {
      this.#isEnding = true;
      this.#wake();
      this.#child?.kill('SIGTERM');
    };
    for (const signal of ENDING) signals.on(signal, end);
    const folder = dirname(resolve(this.#context.cwd, this.#file));
    let watcher: FSWatcher;
    try {
      watcher = watch(folder, (_, name) => this.#noticed(name));
    } catch (error) {
      this.#context.err(`the folder ${folder} cannot be watched: ${readFailure(error)}\n`);
      return EXIT.failed;
    }
    try {
      while (!this.#isEnding) {
        const code = await this.#start();
        if (this.#isEnding) break;
        if (this.#again) this.#again = false;
        else if (code === EXIT.configuration) await this.#change();
        else return code === EXIT.ok ? EXIT.ok : EXIT.failed;
      }
      return EXIT.ok;
    } finally {
      watcher.close();
      for (const signal of ENDING) signals.off(signal, end);
    }
  }

  #wake: () => void = () => {};

  /** What is wrong may be in another file beside it, such as a policy; not in what an editor keeps for itself. */
  #noticed(name: string | null): void {
    if (name !== null && name !== basename(this.#file) && /^[.#]|[~#]$|^\d+$|\.sw.$/.test(name)) return;
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => {
      this.#hasChanged = true;
      this.#wake();
    }, SETTLED_MS).unref();
  }

  async #change(): Promise<void> {
    if (this.#hasChanged) return;
    this.#context.out('waiting until the file changes\n');
    return this.#changed();
  }

  #changed(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  /** Resolves with the exit code of one run. */
  async #start(): Promise<number> {
    const { cwd, env, out, err } = this.#context;
    const command = env['GATEHOUSE_COMMAND'] ?? process.argv[1] ?? '';
    this.#hasChanged = false;
    const child = spawn(process.execPath, ownScript(command, 'start', this.#file), {
      cwd,
      env: { ...env, [DEV_PARENT]: '1', ...(this.#hasConsole ? { [CONSOLE_VARIABLE]: '1' } : {}) },
      stdio: ['ignore', 'pipe', 'pipe'],
      // Out of the reach of Ctrl+C, which a terminal sends to a whole group: with the SIGTERM from here it would be the
      // second signal, which waits for nothing.
      detached: process.platform !== 'win32',
    });
    this.#child = child;
    let isListening = false;
    createInterface({ input: child.stdout }).on('line', (line) => {
      out(`${this.#paint(line)}\n`);
      if (isListening || !line.startsWith(LISTENS)) return;
      isListening = true;
      if (this.#hasConsole) void this.#showConsole();
    });
    createInterface({ input: child.stderr }).on('line', (line) => {
      err(`${this.#paint(line)}\n`);
      if (!line.includes(NEEDS_RESTART) || this.#again) return;
      this.#again = true;
      out('this change needs a new start\n');
      child.kill('SIGTERM');
    });
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    if (signal !== null && !this.#isEnding && !this.#again) err(`the gateway was ended by ${signal}\n`);
    this.#child = undefined;
    return code ?? EXIT.failed;
  }

  /** Each start has a link of its own; the browser is opened once. */
  async #showConsole(): Promise<void> {
    const { env, out } = this.#context;
    try {
      const socket = await findSocket(this.#file, { ...this.#context, options: {} });
      const { status, text } = await callSocket(socket, 'POST', '/admin/api/links', { body: { role: 'admin' } });
      if (status !== 200) return;
      const { url } = JSON.parse(text) as { readonly url: string };
      out(`console: ${url}\n`);
      if (!this.#wasOpened) openBrowser(url, env);
      this.#wasOpened = true;
    } catch (error) {
      // It may be on its way to the next start.
      if (!(error instanceof UnreachableError)) throw error;
    }
  }
}
