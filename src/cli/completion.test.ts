import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { commandLine } from './command-line.suite.ts';

const cli = commandLine();
const { folder } = cli;
after(() => cli.remove());
mkdirSync(join(folder, 'my dir'));
// Named as a command is: a folder must not be taken for it, nor it for a folder.
mkdirSync(join(folder, 'completion'));
for (const name of ["it's.yaml", 'plain.yaml', 'my dir/gate house.yaml']) writeFileSync(join(folder, name), '');

/** Typed in, with a tab at the end; and what the command gets then. */
const TYPED: readonly (readonly [name: string, typed: string, args: readonly string[]])[] = [
  ['a command', 'gatehouse compl', ['completion']],
  ['the command that help is about', 'gatehouse help star', ['help', 'start']],
  ['what stands behind a command', 'gatehouse user crea', ['user', 'create']],
  ['an option', 'gatehouse start --take', ['start', '--takeover']],
  [
    'options of the command and not of an argument named like one',
    'gatehouse check start --str',
    ['check', 'start', '--strict'],
  ],
  ['a file', 'gatehouse start pla', ['start', 'plain.yaml']],
  ['a file with a quote', 'gatehouse start it', ['start', "it's.yaml"]],
  ['a file behind a space', 'gatehouse start my\\ dir/ga', ['start', 'my dir/gate house.yaml']],
  ['a file in quotes', 'gatehouse start "my dir/ga', ['start', 'my dir/gate house.yaml']],
  ['a file of an option', 'gatehouse check --config pla', ['check', '--config', 'plain.yaml']],
];

const SHELLS = {
  bash: { args: ['--norc', '--noprofile', '-i'], before: '' },
  // Without it, a tab that arrives together with other keys is a tab.
  zsh: { args: ['-f', '-i'], before: "zstyle ':completion:*' insert-tab false\n" },
} as const;

/** What the command got for each line, with what was on the screen. */
async function type(shell: keyof typeof SHELLS): Promise<{ readonly got: readonly string[]; readonly screen: string }> {
  const { args, before } = SHELLS[shell];
  const file = join(folder, `.${shell}`);
  const { out } = await cli.run('completion', shell);
  writeFileSync(file, `${before}${out}\ngatehouse() { printf '<%s>' "$@"; echo; }\n`);
  const terminal = spawn('script', ['-qec', `PS1='ready> ' ${shell} ${args.join(' ')}`, '/dev/null'], {
    cwd: folder,
    timeout: 50_000,
    env: { ...process.env, TERM: 'dumb', HOME: folder },
  });
  const lines = [`. ${file}\n`, ...TYPED.map(([, typed]) => `${typed}\t\n`), 'exit\n'];
  let screen = '';
  let seen = 0;
  terminal.stdout.on('data', (bytes) => {
    screen += bytes;
    // At a prompt, and not before: what is typed ahead of it is shown twice.
    if (!/ready> (?:\u001b\[\?2004h)?$/.test(screen.slice(seen))) return;
    seen = screen.length;
    terminal.stdin.write(lines.shift() ?? '');
  });
  await once(terminal, 'close');
  return { got: screen.match(/^(?:<[^<>]*>)+(?=\r?$)/gm) ?? [], screen };
}

for (const shell of Object.keys(SHELLS) as (keyof typeof SHELLS)[]) {
  test(`a tab completes commands, options and files in ${shell}`, {
    // Elsewhere `script` takes other options.
    skip: process.platform !== 'linux',
    timeout: 60_000,
  }, async () => {
    const { got, screen } = await type(shell);
    assert.deepEqual(
      got,
      TYPED.map(([, , args]) => args.map((each) => `<${each}>`).join('')),
      screen,
    );
    assert.doesNotMatch(screen, /not found|error/);
  });
}

test('a tab completes commands, options and files in fish', async () => {
  const file = join(folder, '.fish');
  writeFileSync(file, (await cli.run('completion', 'fish')).out);
  for (const [name, typed, args] of TYPED) {
    const script = 'source $argv[1]; complete --do-complete $argv[2]';
    const { stdout, stderr } = spawnSync('fish', ['-N', '-c', script, file, typed], { cwd: folder, encoding: 'utf8' });
    const offered = stdout.split('\n').map((line) => line.split('\t', 1)[0]);
    assert.ok(offered.includes(args.at(-1)), `${name}: ${stdout}${stderr}`);
    assert.equal(stderr, '');
  }
});
