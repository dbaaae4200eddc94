#!/usr/bin/env node
/**
 * The command `gatehouse`: says clearly when Node is too old, and otherwise runs the compiled command line, or the
 * sources in a checkout that was not built. Plain JavaScript of long ago, so that an old Node gets as far as the
 * message.
 */
const V8_HELPERS = 4;
const major = Number(process.versions.node.split('.')[0]);

if (major < 24) {
  process.stderr.write(
    `gatehouse needs Node.js 24 or newer; this is ${process.versions.node} (${process.execPath}).\n` +
      'Install a newer one from https://nodejs.org.\n',
  );
  process.exitCode = 5;
} else {
  run().catch((error) => {
    process.stderr.write(`${error?.stack ?? error}\n`);
    process.exitCode = 70;
  });
}

async function run() {
  const { existsSync } = await import('node:fs');
  if (process.argv[2] === 'start') await withFewerHelpers();
  const compiled = new URL('../dist/cli/gatehouse.js', import.meta.url);
  const source = new URL('../src/cli/gatehouse.ts', import.meta.url);
  const { main } = await import((existsSync(compiled) ? compiled : source).href);
  process.exitCode = await main(process.argv.slice(2));
}

/**
 * V8 has four threads of its own beside those of the program, to collect garbage and to compile. On few cores they take
 * the processor from the workers: on two, requests beside a large reload waited 10 to 15 ms for their turn, with one
 * helper 8 (`npm run bench:growth`). How many there are is settled when a process begins, so it begins once more under
 * the same process id. NODE_OPTIONS=--v8-pool-size=4 keeps them all.
 */
async function withFewerHelpers() {
  const { availableParallelism } = await import('node:os');
  const { isSea } = await import('node:sea');
  const helpers = Math.max(1, availableParallelism() - 1);
  const asked = [...process.execArgv, process.env.NODE_OPTIONS ?? ''].join(' ');
  // What a debugger or a parent holds on to would be lost. The single executable is built with its number.
  if (helpers >= V8_HELPERS || isSea() || /--v8-pool-size|--inspect/.test(asked) || process.channel !== undefined)
    return;
  try {
    const args = [process.argv0, `--v8-pool-size=${helpers}`, ...process.execArgv, ...process.argv.slice(1)];
    process.execve?.(process.execPath, args, process.env);
  } catch {
    // Then with all of them.
  }
}
