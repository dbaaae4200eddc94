/**
 * `gatehouse import openapi FILE`: a configuration made of an OpenAPI document: its server as a service, its paths as
 * routes whose requests are checked by the document, what it says about security as `auth`. Printed, or written to a
 * new file.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { relative, resolve } from 'node:path';
import { readMessage } from '../base/read-failure.ts';
import type { CommandContext } from './command.ts';
import { EXIT } from './command.ts';

export async function importOpenApi({ positionals, options, cwd, out, err }: CommandContext): Promise<number> {
  const [, file = ''] = positionals;
  const [{ readApiDocument }, { importedConfiguration, ImportError }, { stringify }] = await Promise.all([
    import('../control/api-pages/read-document.ts'),
    import('../control/api-pages/import.ts'),
    import('yaml'),
  ]);
  const text = await readFile(resolve(cwd, file), 'utf8').catch((error: unknown) => ({ problem: readMessage(error) }));
  const read = typeof text === 'string' ? readApiDocument(text) : text;
  if ('problem' in read) {
    err(`${file}: ${read.problem}\n`);
    return EXIT.configuration;
  }
  const target = options['out'] as string | undefined;
  const named = relative(target === undefined ? cwd : resolve(cwd, target, '..'), resolve(cwd, file));
  try {
    const { configuration, notes } = importedConfiguration(read.document, {
      file: `./${named.replaceAll('\\', '/')}`,
      service: options['service'] as string | undefined,
      url: options['url'] as string | undefined,
      prefix: ((options['prefix'] as string | undefined) ?? '').replace(/\/$/, ''),
    });
    for (const note of notes) err(`${note}\n`);
    const yaml = stringify(configuration, { flowCollectionPadding: true, lineWidth: 0 });
    if (target === undefined) out(yaml);
    else await writeFile(resolve(cwd, target), yaml, { flag: 'wx' });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    err(code === 'EEXIST' ? `${target} exists already and is left as it is\n` : `${file}: ${message}\n`);
    return error instanceof ImportError ? EXIT.configuration : EXIT.failed;
  }
  return EXIT.ok;
}
