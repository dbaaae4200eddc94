/**
 * `gatehouse init`: writes a first configuration, with comments, and the JSON Schema that editors complete it by; with
 * `--policy NAME` instead a first policy in TypeScript and its test.
 */
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { readFailure } from '../base/read-failure.ts';
import { defaultFiles } from '../control/config/files.ts';
import type { Command, CommandContext } from './command.ts';
import { EXIT, UsageError } from './command.ts';
import { INITIAL_CONFIG, INITIAL_TYPESCRIPT, SCHEMA_FILE } from './init-template.ts';
import { POLICY_NAME, policyTemplate, policyTestTemplate } from './policy-template.ts';
import { typedPath } from './typed-path.ts';

const CONFIG_FILE = 'gatehouse.yaml';
const TYPESCRIPT_FILE = 'gatehouse.ts';

export const init: Command = {
  name: 'init',
  summary: 'write a first configuration, with comments',
  usage: ['[FOLDER] [--ts]', '[FOLDER] --schema', '[FOLDER] --policy NAME'],
  description: `Writes ${CONFIG_FILE} and ${SCHEMA_FILE} into FOLDER, by default the working directory, and says what to type next. Editors that know the YAML language server check and complete the file by the schema. A file that exists is never overwritten.

With --ts it writes ${TYPESCRIPT_FILE} instead, which the compiler checks; with --schema the schema alone, anew after an upgrade; with --policy policies/NAME.ts and policies/NAME.test.ts: a policy to begin with, and its test, which \`node --test\` runs.

Exit codes: 0 written, 5 a file exists already or cannot be written.`,
  options: {
    ts: { type: 'boolean', meaning: 'write the configuration in TypeScript' },
    schema: { type: 'boolean', meaning: 'write the JSON Schema alone' },
    policy: { type: 'string', value: 'NAME', meaning: 'write a first policy of this name, such as my-policy' },
  },
  arguments: { min: 0, max: 1 },
  async run(context) {
    const { positionals, cwd, out, err, options } = context;
    if (options['config'] !== undefined) throw new UsageError("init makes a folder's first file; name the FOLDER");
    const modes = ['ts', 'schema', 'policy'].filter((name) => options[name] !== undefined && options[name] !== false);
    if (modes.length > 1) throw new UsageError(`--${modes[0]} and --${modes[1]} do not go together`);
    const folder = resolve(cwd, positionals[0] ?? '.');
    if (typeof options['policy'] === 'string') return initPolicy(folder, options['policy'], context);
    const inTypeScript = options['ts'] === true;
    const name = inTypeScript ? TYPESCRIPT_FILE : CONFIG_FILE;
    const written: string[] = [];
    try {
      await mkdir(folder, { recursive: true });
      if (options['schema'] !== true) {
        // A second one would be read in place of the first, or not at all.
        const [other] = defaultFiles(folder);
        if (other !== undefined) {
          err(`${join(folder, other)} exists already and is left as it is\n`);
          return EXIT.failed;
        }
        await writeFile(join(folder, name), inTypeScript ? INITIAL_TYPESCRIPT : INITIAL_CONFIG, { flag: 'wx' });
        written.push(`${shown(cwd, join(folder, name))}   a service and two routes, to be changed`);
      }
      if (!inTypeScript) {
        const { editorSchema } = await import('../control/config/json-schema.ts');
        // The schema belongs to this version of Gatehouse and holds nothing of the user's, so it may be written anew.
        await writeFile(join(folder, SCHEMA_FILE), `${JSON.stringify(editorSchema(), null, 2)}\n`);
        written.push(`${shown(cwd, join(folder, SCHEMA_FILE))}   by which editors check and complete it`);
      }
    } catch (error) {
      err(`${notWritten(error, folder, written)}\n`);
      return EXIT.failed;
    }
    out(`wrote\n${written.map((line) => `  ${line}\n`).join('')}`);
    if (options['schema'] !== true)
      out(nextSteps(shown(cwd, join(folder, name)), context, inTypeScript ? folder : null));
    return EXIT.ok;
  },
};

/** Names the file or folder that stands in the way, and what is there all the same. */
function notWritten(error: unknown, folder: string, written: readonly string[]): string {
  const { code, path = folder, syscall } = error as NodeJS.ErrnoException;
  if (code === 'EEXIST' && syscall !== 'mkdir') return `${path} exists already and is left as it is`;
  const reason = code === 'EEXIST' ? 'it is a file and no folder' : readFailure(error);
  const rest = written.length === 0 ? '' : `\nwritten before that: ${written.join(', ')}`;
  return `${path} cannot be written: ${reason}${rest}`;
}

function shown(cwd: string, file: string): string {
  const path = relative(cwd, file);
  return path.startsWith('..') ? file : path;
}

/** `typed`: the folder of a configuration whose types come from the package. */
function nextSteps(file: string, { cwd, env }: CommandContext, typed: string | null): string {
  const command = commandName(env);
  const install =
    typed === null
      ? ''
      : installStep(cwd, typed, 'gatehouse @types/node', 'types for your editor; check and dev need it not');
  return `next
${install}  ${command} check ${typedPath(file)}     says what is wrong with it
  ${command} dev ${typedPath(file)}       runs it, and again when it changes
  curl -i http://127.0.0.1:8000/
`;
}

/** Empty where the package is found from the folder. */
function installStep(cwd: string, folder: string, packages: string, why: string): string {
  try {
    createRequire(join(folder, 'index.js')).resolve('gatehouse/package.json');
    return '';
  } catch {
    const place = relative(cwd, folder);
    return `  npm install${place === '' ? '' : ` --prefix ${typedPath(place)}`} --save-dev ${packages}     ${why}\n`;
  }
}

/** Empty unless Node takes TypeScript in the folder for CommonJS, as `npm init` asks for; the gateway itself does not. */
function typeStep(cwd: string, folder: string): string {
  for (let at = folder; ; at = dirname(at)) {
    const type = packageType(join(at, 'package.json'));
    if (type === undefined && at !== dirname(at)) continue;
    if (type !== 'commonjs') return '';
    const place = relative(cwd, at);
    return `  npm pkg set type=module${place === '' ? '' : ` --prefix ${typedPath(place)}`}     so that Node runs the test as a module\n`;
  }
}

/** Undefined: there is no such file, or it cannot be read. */
function packageType(file: string): string | undefined {
  try {
    return (JSON.parse(readFileSync(file, 'utf8')) as { type?: string }).type ?? 'not said';
  } catch {
    return undefined;
  }
}

/** How this command was called: by npx, by the script of a checkout, or by its name. */
function commandName(env: CommandContext['env']): string {
  if (env['npm_lifecycle_event'] === 'gatehouse') return 'npm run gatehouse --';
  return env['npm_command'] === 'exec' || env['npm_lifecycle_event'] === 'npx' ? 'npx gatehouse' : 'gatehouse';
}

async function initPolicy(folder: string, name: string, { cwd, out, err }: CommandContext): Promise<number> {
  if (!POLICY_NAME.test(name))
    throw new UsageError(`a policy is named with small letters, digits and "-", not "${name}"`);
  const policy = join(folder, 'policies', `${name}.ts`);
  const test = join(folder, 'policies', `${name}.test.ts`);
  try {
    await mkdir(join(folder, 'policies'), { recursive: true });
    await writeFile(policy, policyTemplate(name), { flag: 'wx' });
    await writeFile(test, policyTestTemplate(name), { flag: 'wx' });
  } catch (error) {
    err(`${notWritten(error, folder, [])}\n`);
    return EXIT.failed;
  }
  out(`wrote
  ${shown(cwd, policy)}   a policy, to be changed
  ${shown(cwd, test)}   its test
next
${installStep(cwd, folder, 'gatehouse', 'what its test runs it with')}${typeStep(cwd, folder)}  node --test ${typedPath(shown(cwd, test))}
and in a route: use: ./policies/${name}.ts
`);
  return EXIT.ok;
}
