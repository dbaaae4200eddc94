/**
 * `gatehouse init`: writes a first configuration, with comments, and the JSON Schema that editors complete it by; with
 * `--policy NAME` instead a first policy in TypeScript and its test.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Command, CommandContext } from './command.ts';
import { EXIT, UsageError } from './command.ts';
import { INITIAL_CONFIG, SCHEMA_FILE } from './init-template.ts';
import { POLICY_NAME, policyTemplate, policyTestTemplate } from './policy-template.ts';

const CONFIG_FILE = 'gatehouse.yaml';

export const init: Command = {
  name: 'init',
  summary: 'write a first configuration, with comments',
  usage: ['[FOLDER]', '[FOLDER] --policy NAME'],
  description: `Writes ${CONFIG_FILE} and ${SCHEMA_FILE} into FOLDER, by default the working directory. Editors that know the YAML language server check and complete the file by the schema. A file that exists is never overwritten.

With --policy it writes policies/NAME.ts and policies/NAME.test.ts instead: a policy to begin with, and its test, which \`node --test\` runs.

Exit codes: 0 written, 5 a file exists already or cannot be written.`,
  options: {
    policy: { type: 'string', value: 'NAME', meaning: 'write a first policy of this name, such as my-policy' },
  },
  arguments: { min: 0, max: 1 },
  async run(context) {
    const { positionals, cwd, out, err, options } = context;
    if (options['config'] !== undefined) throw new UsageError("init makes a folder's first file; name the FOLDER");
    const folder = resolve(cwd, positionals[0] ?? '.');
    if (typeof options['policy'] === 'string') return initPolicy(folder, options['policy'], context);
    const { editorSchema } = await import('../control/config/json-schema.ts');
    const config = join(folder, CONFIG_FILE);
    try {
      await mkdir(folder, { recursive: true });
      await writeFile(config, INITIAL_CONFIG, { flag: 'wx' });
      // The schema belongs to this version of Gatehouse and holds nothing of the user's, so it may be written anew.
      await writeFile(join(folder, SCHEMA_FILE), `${JSON.stringify(editorSchema(), null, 2)}\n`);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      err(code === 'EEXIST' ? `${config} exists already and is left as it is\n` : `${message}\n`);
      return EXIT.failed;
    }
    out(`wrote ${config}\nnext: gatehouse check ${config}, then gatehouse start ${config}\n`);
    return EXIT.ok;
  },
};

async function initPolicy(folder: string, name: string, { out, err }: CommandContext): Promise<number> {
  if (!POLICY_NAME.test(name))
    throw new UsageError(`a policy is named with small letters, digits and "-", not "${name}"`);
  const policy = join(folder, 'policies', `${name}.ts`);
  const test = join(folder, 'policies', `${name}.test.ts`);
  try {
    await mkdir(join(folder, 'policies'), { recursive: true });
    await writeFile(policy, policyTemplate(name), { flag: 'wx' });
    await writeFile(test, policyTestTemplate(name), { flag: 'wx' });
  } catch (error) {
    const { code, message, path } = error as NodeJS.ErrnoException;
    err(code === 'EEXIST' ? `${path} exists already and is left as it is\n` : `${message}\n`);
    return EXIT.failed;
  }
  out(`wrote ${policy} and its test\nnext: node --test ${test}, then in a route: use: ./policies/${name}.ts\n`);
  return EXIT.ok;
}
