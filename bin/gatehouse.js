#!/usr/bin/env node
/**
 * The command `gatehouse`: says clearly when Node is too old, and otherwise runs the compiled command line, or the
 * sources in a checkout that was not built. Plain JavaScript of long ago, so that an old Node gets as far as the
 * message.
 */
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
  const compiled = new URL('../dist/cli/gatehouse.js', import.meta.url);
  const source = new URL('../src/cli/gatehouse.ts', import.meta.url);
  const { main } = await import((existsSync(compiled) ? compiled : source).href);
  process.exitCode = await main(process.argv.slice(2));
}
