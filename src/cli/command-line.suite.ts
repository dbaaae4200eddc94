/** Runs the command line in the test's own process: folder, environment, output and signals are the test's. */
import { EventEmitter } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { main } from './gatehouse.ts';

export interface CommandLine {
  readonly folder: string;
  readonly signals: EventEmitter;
  readonly exits: number[];
  env: Record<string, string>;
  run(...args: string[]): Promise<{ code: number; out: string; err: string }>;
  /** What a command that still runs has printed so far. */
  printed(): string;
  remove(): void;
}

export function commandLine(): CommandLine {
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-'));
  const signals = new EventEmitter();
  const exits: number[] = [];
  let printed = '';
  return {
    folder,
    signals,
    exits,
    env: {},
    async run(...args) {
      let out = '';
      let err = '';
      const code = await main(args, {
        cwd: folder,
        env: this.env,
        signals,
        exit: (exitCode) => exits.push(exitCode),
        out: (text) => {
          out += text;
          printed += text;
          signals.emit('printed');
        },
        err: (text) => {
          err += text;
        },
      });
      return { code, out, err };
    },
    printed: () => printed,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
