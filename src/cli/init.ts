/** `gatehouse init`: writes a first configuration, with comments, and the JSON Schema that editors complete it by. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Command } from './command.ts';
import { EXIT, UsageError } from './command.ts';
import { INITIAL_CONFIG, SCHEMA_FILE } from './init-template.ts';

const CONFIG_FILE = 'gatehouse.yaml';

export const init: Command = {
  name: 'init',
  summary: 'write a first configuration, with comments',
  usage: ['[FOLDER]'],
  description: `Writes ${CONFIG_FILE} and ${SCHEMA_FILE} into FOLDER, by default the working directory. Editors that know the YAML language server check and complete the file by the schema. A file that exists is never overwritten.

Exit codes: 0 written, 5 a file exists already or cannot be written.`,
  options: {},
  arguments: { min: 0, max: 1 },
  async run({ positionals, options, cwd, out, err }) {
    if (options['config'] !== undefined) throw new UsageError("init makes a folder's first file; name the FOLDER");
    const folder = resolve(cwd, positionals[0] ?? '.');
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
