/**
 * Starts one example: its services as processes of their own, then the gateway in front of them, and prints what
 * listens where and what to try. `npm start` is the quickstart; `npm run example NAME` any other. Ctrl-C ends it all.
 */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** What an example's `example.ts` exports as default. */
export interface Example {
  readonly title: string;
  readonly services: readonly {
    readonly name: string;
    /** Module to run, relative to the example. */
    readonly file: string;
    readonly port: number;
    readonly env?: Readonly<Record<string, string>>;
  }[];
  /** Configuration, relative to the example. */
  readonly configuration: string;
  readonly port: number;
  readonly env?: Readonly<Record<string, string>>;
  /**
   * Module that is run to its end, with the gateway's environment, before the gateway starts; such as one that makes
   * accounts.
   */
  readonly setUp?: string;
  /** Commands to try, one a line. */
  readonly tries: readonly string[];
}

/** A busy machine takes its time; what cannot start says so and ends at once. */
const STARTED_WITHIN_MS = 60_000;
const root = fileURLToPath(new URL('..', import.meta.url));
/** The compiled one; tests take the sources. */
const COMMAND_LINE = process.env['GATEHOUSE_COMMAND'] ?? `${root}bin/gatehouse.js`;

async function main(name: string | undefined): Promise<void> {
  const folder = `${root}examples/${name ?? ''}`;
  if (name === undefined || !existsSync(`${folder}/example.ts`)) {
    const names = readdirSync(`${root}examples`, { withFileTypes: true }).filter((entry) =>
      existsSync(`${root}examples/${entry.name}/example.ts`),
    );
    console.error(`usage: npm run example NAME, where NAME is one of: ${names.map((entry) => entry.name).join(', ')}`);
    process.exitCode = 2;
    return;
  }
  const example = ((await import(pathToFileURL(`${folder}/example.ts`).href)) as { default: Example }).default;
  for (const { port, name: service } of [...example.services, { port: example.port, name: 'the gateway' }]) {
    if (await isListening(port)) {
      console.error(`port ${port}, which ${service} wants, is in use: stop what listens there and start again`);
      process.exitCode = 1;
      return;
    }
  }
  const children = new Set<ChildProcess>();
  let ending = false;
  const end = (code: number): void => {
    if (ending) return;
    ending = true;
    process.exitCode = code;
    // The gateway first, so that it can finish what is in flight.
    const [gateway] = [...children].reverse();
    const others = [...children].filter((child) => child !== gateway);
    gateway?.once('exit', () => {
      for (const child of others) child.kill('SIGTERM');
    });
    if (gateway === undefined || gateway.exitCode !== null) for (const child of others) child.kill('SIGTERM');
    else gateway.kill('SIGTERM');
  };
  const start = (label: string, args: readonly string[], env: Readonly<Record<string, string>>): ChildProcess => {
    const child = spawn(process.execPath, [...args], {
      cwd: folder,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    child.stdout.on('data', (text: Buffer) => process.stdout.write(text));
    children.add(child);
    child.on('exit', (code, signal) => {
      children.delete(child);
      if (!ending) console.error(`${label} ended (${signal ?? code}), so the example ends`);
      end(code === 0 || ending ? 0 : 1);
    });
    return child;
  };
  process.on('SIGINT', () => end(0));
  process.on('SIGTERM', () => end(0));
  // npm does not always pass a signal on; when the parent process is gone, this ends too.
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) end(0);
  }, 500).unref();

  for (const service of example.services)
    start(service.name, [`${folder}/${service.file}`], { ...service.env, PORT: String(service.port) });
  /** False when it does not listen in time: what was started is ended then. */
  const isUp = async (port: number, label: string): Promise<boolean> => {
    if (await listening(port, () => ending)) return true;
    console.error(`${label} does not listen on port ${port} after ${STARTED_WITHIN_MS / 1000} s`);
    end(1);
    return false;
  };
  for (const service of example.services) if (!(await isUp(service.port, service.name))) return;
  if (ending) return;
  if (example.setUp !== undefined && !(await finished(`${folder}/${example.setUp}`, { ...example.env }))) {
    end(1);
    return;
  }
  if (ending) return;
  const gateway = start('the gateway', [COMMAND_LINE, 'start', example.configuration], { ...example.env });
  // It says so once it listens; what to try belongs below that.
  const said = new Promise((resolve) => gateway.stdout?.once('data', resolve));
  if (!(await isUp(example.port, 'the gateway'))) return;
  if (!ending) await Promise.race([said, new Promise((resolve) => gateway.once('exit', resolve))]);
  if (ending) return;
  console.log(`\n${example.title}\n`);
  const width = Math.max(...example.services.map(({ name: label }) => label.length), 16);
  for (const service of example.services)
    console.log(`  ${service.name.padEnd(width)} http://127.0.0.1:${service.port}`);
  console.log(`  ${'gateway'.padEnd(width)} http://127.0.0.1:${example.port}`);
  const link = await consoleLink(folder, example);
  if (ending) return;
  if (link !== null)
    console.log(`  ${'console'.padEnd(width)} ${link}\n  ${''.padEnd(width)} signs in once, within five minutes`);
  console.log('\nTry, in another terminal:\n');
  for (const line of example.tries) console.log(`  ${line}`);
  console.log('\nCtrl-C ends it.\n');
}

/** The link of `gatehouse console`; null where the configuration has no `admin.listen`. */
function consoleLink(folder: string, { configuration, env }: Example): Promise<string | null> {
  const child = spawn(process.execPath, [COMMAND_LINE, 'console', '-c', configuration], {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  return new Promise((resolve) => child.on('close', (code) => resolve(code === 0 ? text.trim() : null)));
}

/** Resolves with whether it ended well. */
function finished(file: string, env: Readonly<Record<string, string>>): Promise<boolean> {
  const child = spawn(process.execPath, [file], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return new Promise((resolve) => child.on('exit', (code) => resolve(code === 0)));
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** Resolves with whether it listens in time, or when the wait is aborted. */
async function listening(port: number, given: () => boolean): Promise<boolean> {
  const deadline = Date.now() + STARTED_WITHIN_MS;
  while (!given() && !(await isListening(port))) {
    if (Date.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return true;
}

await main(process.argv[2]);
