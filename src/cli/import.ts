/**
 * `gatehouse import`: another gateway's configuration as one of ours, with a report of what became of every object in
 * it. Each format has its importer in import/; this file reads, writes and checks.
 */
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { readMessage } from '../base/read-failure.ts';
import type { RouteSettings } from '../data/contract/snapshot.ts';
import type { Command, CommandContext } from './command.ts';
import { EXIT, JSON_OPTION, UsageError } from './command.ts';
import { counted, loadAndCompile, problemLines } from './config-file.ts';
import type { Draft } from './import/draft.ts';
import type { Folders } from './import/nginx-files.ts';
import type { Replay } from './replay-log.ts';

const FORMATS = ['kong', 'nginx', 'krakend', 'express-gateway'] as const;
type Format = (typeof FORMATS)[number];

export const importConfiguration: Command = {
  name: 'import',
  summary: 'make a configuration of that of Kong, nginx, KrakenD or Express Gateway, or of an OpenAPI document',
  usage: [
    'kong|nginx|krakend|express-gateway FILE [--out FOLDER] [--verify LOG [--host HOST]] [--json]',
    'openapi DOCUMENT [--service NAME] [--url URL] [--prefix PATH] [--out FILE]',
  ],
  description: `Reads FILE (deck's YAML or JSON of Kong, nginx.conf or the output of nginx -T, krakend.json, gateway.config.yml) and writes into FOLDER, by default "imported":

  gatehouse.yaml      the configuration, with comments
  import-report.md    what became of every object: exact, approximate (what differs), not carried (why, and what to do)
  gatehouse.env       secrets, which are variables in the configuration; readable by you alone

Security is never dropped in silence: a route whose authentication, limit or address list cannot be carried answers 501 until you have written it. What is written passes "gatehouse check", once the certificates that it names are there.

With --verify it looks up the requests of the old gateway's access log (combined format or JSON lines) in what was written, and names those that were answered there and would not be here, also where certificates are missing; "gatehouse routes --log" does it again later.

With openapi it writes a service, and a route for each path whose requests are checked by the document, to FILE or standard output. Operations without security are public; scopes of OAuth become scopes of "auth". Exit codes then: 0 written, 1 the document cannot be used, 5 FILE exists already or cannot be written.

  gatehouse import openapi petstore.yaml --prefix /api/pets --out gatehouse.yaml

Exit codes: 0 all exact, 1 something differs, 2 something was not carried or a request of the log finds no route, 5 a file cannot be read or written.`,
  options: {
    out: { type: 'string', value: 'FOLDER', meaning: 'folder to write into, default imported; with openapi a file' },
    service: { type: 'string', value: 'NAME', meaning: 'openapi: name of the service; default is made from the title' },
    url: {
      type: 'string',
      value: 'URL',
      meaning: "openapi: address of an instance; default is the document's first server",
    },
    prefix: {
      type: 'string',
      value: 'PATH',
      meaning: 'openapi: what callers write before the paths; it is taken off again',
    },
    verify: { type: 'string', value: 'LOG', meaning: 'access log of the old gateway, to be looked up in the result' },
    host: { type: 'string', value: 'HOST', meaning: 'with --verify: host of requests whose line names none' },
    json: JSON_OPTION,
  },
  arguments: { min: 2, max: 2 },
  async run(context) {
    const { positionals, cwd, options, out, err } = context;
    if (positionals[0] === 'openapi') return (await import('./import-openapi.ts')).importOpenApi(context);
    const [format, file = ''] = positionals as [Format, string];
    if (!FORMATS.includes(format))
      throw new UsageError(`"${format}" cannot be imported; one of ${[...FORMATS, 'openapi'].join(', ')} can`);
    if (options['config'] !== undefined) throw new UsageError('import takes the file to read as an argument');
    const folder = resolve(cwd, typeof options['out'] === 'string' ? options['out'] : 'imported');
    let draft: Draft;
    try {
      const folders = { source: dirname(resolve(cwd, file)), out: folder };
      draft = await importText(format, textOf(await readFile(resolve(cwd, file))), folders);
    } catch (error) {
      err(`${file}: ${readMessage(error)}\n`);
      return EXIT.failed;
    }
    return await write(draft, file, folder, context, options['json'] === true, out, err);
  },
};

/** The checker finds some problems only once others are gone. */
const MOST_ROUNDS = 8;

const HERE: Folders = { source: '.', out: '.' };

/** Throws where the bytes are no text in UTF-8. */
function textOf(bytes: Buffer): string {
  const isWide =
    bytes.length > 1 && ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff));
  if (isWide) throw new Error('it is written in UTF-16; save it as UTF-8');
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new Error('it is no text in UTF-8');
  }
}

/** Throws what is wrong with the text. */
export async function importText(format: Format, text: string, folders: Folders = HERE): Promise<Draft> {
  const { fieldChecker } = await import('./import/draft.ts');
  if (format === 'nginx') return (await import('./import/nginx.ts')).importNginx(text, folders, await fieldChecker());
  const { readMapping } = await import('./import/read-mapping.ts');
  const document = readMapping(text);
  if (format === 'kong') return (await import('./import/kong.ts')).importKong(document, await fieldChecker());
  if (format === 'krakend') return (await import('./import/krakend.ts')).importKrakend(document);
  return (await import('./import/express-gateway.ts')).importExpressGateway(document);
}

/** Certificates may lie where the old gateway runs, and say nothing of which route takes a request. */
async function routesWithoutTls(file: string, { cwd, env }: CommandContext): Promise<readonly RouteSettings[] | null> {
  const { loadConfig } = await import('../control/config/load.ts');
  const { compile } = await import('../control/config/compile.ts');
  const loaded = await loadConfig({ file, cwd, env });
  if (!loaded.ok) return null;
  const { document } = loaded.config;
  const listeners = document.gateway.listeners?.map(({ tls: _, ...listener }) => listener);
  const gateway = { ...document.gateway, listeners };
  const compiled = compile({ ...loaded.config, document: { ...document, gateway } });
  return compiled.ok ? compiled.snapshot.routes : null;
}

async function write(
  draft: Draft,
  from: string,
  folder: string,
  context: CommandContext,
  asJson: boolean,
  out: (text: string) => void,
  err: (text: string) => void,
): Promise<number> {
  const { gradeOf, reportOf } = await import('./import/report.ts');
  const { closeRefused } = await import('./import/close-refused.ts');
  const { editorSchema } = await import('../control/config/json-schema.ts');
  const config = join(folder, 'gatehouse.yaml');
  try {
    await mkdir(folder, { recursive: true });
    await writeFile(config, draft.yaml(from), { flag: 'wx' });
    await writeFile(join(folder, 'gatehouse.schema.json'), `${JSON.stringify(editorSchema(), null, 2)}\n`);
    if (draft.variables.size > 0) {
      const lines = [...draft.variables].map(([name, value]) => `${name}=${JSON.stringify(value)}\n`);
      await writeFile(join(folder, 'gatehouse.env'), lines.join(''), { mode: 0o600 });
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const isFile = code === 'ENOTDIR' || (code === 'EEXIST' && !existsSync(config));
    if (isFile) err(`${folder}: this is a file, and a folder is needed\n`);
    else err(code === 'EEXIST' ? `${config} exists already and is left as it is\n` : `${message}\n`);
    return EXIT.failed;
  }
  const withVariables = { ...context, env: { ...context.env, ...Object.fromEntries(draft.variables) } };
  let loaded = await loadAndCompile(config, withVariables);
  for (let round = 0; round < MOST_ROUNDS && !loaded.ok && closeRefused(draft, loaded.problems); round++) {
    await writeFile(config, draft.yaml(from));
    loaded = await loadAndCompile(config, withVariables);
  }
  await writeFile(join(folder, 'import-report.md'), reportOf(draft, from));
  const problems = loaded.ok ? [] : loaded.problems.filter(({ severity }) => severity === 'error');
  const grade = gradeOf(draft.findings);
  let replay: Replay | undefined;
  const { verify: log, host } = context.options as { verify?: string; host?: string };
  let isUnread = false;
  if (log !== undefined) {
    try {
      const { replayLog } = await import('./replay-log.ts');
      const routes = loaded.ok ? loaded.compiled.snapshot.routes : await routesWithoutTls(config, withVariables);
      isUnread = routes === null;
      if (routes !== null) replay = await replayLog(routes, resolve(context.cwd, log), host ?? '');
    } catch (error) {
      err(`${log}: ${readMessage(error)}\n`);
      return EXIT.failed;
    }
  }
  if (asJson) {
    const { replayJson } = await import('./replay-log.ts');
    const { findings } = draft;
    const [closed, variables] = [[...draft.closed.keys()], [...draft.variables.keys()]];
    const verified = log === undefined ? {} : { verified: replay === undefined ? null : replayJson(replay) };
    out(`${JSON.stringify({ file: config, findings, closed, variables, problems, ...verified }, null, 2)}\n`);
  } else {
    const count = (verdict: string): number => draft.findings.filter((each) => each.verdict === verdict).length;
    out(
      `wrote ${relative(context.cwd, config) || config}: ${counted(Object.keys(draft.services).length, 'service')}, ${counted(draft.routes.length, 'route')}\n`,
    );
    out(
      `${count('exact')} exact, ${count('approximate')} approximate, ${count('not carried')} not carried: see import-report.md\n`,
    );
    if (draft.closed.size > 0)
      out(`${counted(draft.closed.size, 'route')} closed (501): ${[...draft.closed.keys()].join(', ')}\n`);
    if (draft.variables.size > 0) out(`set the variables of gatehouse.env before you start it\n`);
    if (problems.length > 0)
      err(`what "gatehouse check" says about it, to be mended by hand:\n${problemLines(problems)}`);
    if (replay !== undefined) out(`\n${(await import('./replay-log.ts')).replayText(replay)}`);
  }
  if (isUnread)
    err(
      `${log} was not looked at, because of these problems; when they are mended: gatehouse routes ${config} --log ${log}\n`,
    );
  const isLost = replay !== undefined && replay.lost.size > 0;
  if (isLost) return 2;
  return grade === 2 || problems.length > 0 ? 2 : grade;
}
