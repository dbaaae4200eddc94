/**
 * `gatehouse export openapi`: the OpenAPI document of everything that a configuration publishes, without a running
 * gateway: for client generators, catalogues and a check in CI.
 */
import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { AUDIENCES, type Audience } from '../control/audience.ts';
import type { Command, CommandContext } from './command.ts';
import { EXIT, UsageError } from './command.ts';
import { configFile, problemLines } from './config-file.ts';

export const exportCommand: Command = {
  name: 'export',
  summary: 'write the OpenAPI document of all APIs behind the gateway',
  usage: ['openapi [FILE] [--audience WHO] [--format json|yaml] [--out PATH] [--strict]'],
  description: `Writes the document that the key "openapi" publishes, of the configuration FILE; without the key, as "openapi: {}" would. Documents that are fetched are fetched now, and services with "transcode: { reflection: true }" are asked. What does not fit is reported on standard error.

  gatehouse export openapi --audience admin --format yaml --out api.yaml

Exit codes: 0 written, 1 the configuration is wrong or, with --strict, something did not fit, 5 PATH cannot be written.`,
  options: {
    audience: {
      type: 'string',
      value: 'WHO',
      meaning: `${AUDIENCES.join(', ')}; default is what "openapi.audience" says`,
    },
    format: { type: 'string', value: 'FORMAT', meaning: 'json (default) or yaml' },
    out: { type: 'string', short: 'o', value: 'PATH', meaning: 'file to write; default is standard output' },
    strict: { type: 'boolean', meaning: 'exit code 1 when something does not fit' },
  },
  arguments: { min: 1, max: 2 },
  async run(context) {
    const { positionals, options, cwd, out, err } = context;
    if (positionals[0] !== 'openapi') throw new UsageError(`"openapi" can be exported, not "${positionals[0]}"`);
    const format = oneOf(options['format'] ?? 'json', ['json', 'yaml'], 'format');
    const found = await build(context);
    if (found === null) return EXIT.configuration;
    const asked = options['audience'] as string | undefined;
    const audience = asked === undefined ? found.audience : (oneOf(asked, AUDIENCES, 'audience') as Audience);
    const document = found.merged.forAudience(audience);
    const { stringify } = await import('yaml');
    const text =
      format === 'json'
        ? `${JSON.stringify(document, null, 2)}\n`
        : stringify(document, { aliasDuplicateObjects: false });
    for (const problem of found.merged.problems) err(`${problem}\n`);
    const path = options['out'];
    if (typeof path === 'string') {
      try {
        await writeFile(resolve(cwd, path), text);
      } catch (error) {
        err(`${(error as Error).message}\n`);
        return EXIT.failed;
      }
    } else out(text);
    return options['strict'] === true && found.merged.problems.length > 0 ? EXIT.configuration : EXIT.ok;
  },
};

async function build(context: CommandContext) {
  const [
    { loadConfig },
    { compile },
    { wholeDocument },
    { ServiceDocuments },
    { OutsideServices },
    { instanceUrls },
    { askOnce },
  ] = await Promise.all([
    import('../control/config/load.ts'),
    import('../control/config/compile.ts'),
    import('../control/api-pages/whole-document.ts'),
    import('../control/api-pages/sources.ts'),
    import('../control/auth/http.ts'),
    import('../control/api-pages/instance-urls.ts'),
    import('../control/grpc/ask-once.ts'),
  ]);
  const { cwd, env, err } = context;
  const loaded = await loadConfig({ file: configFile(context.positionals[1], context), cwd, env });
  const compiled = loaded.ok ? compile(loaded.config) : loaded;
  if (!loaded.ok || !compiled.ok) {
    err(problemLines(compiled.problems));
    return null;
  }
  const { snapshot, plan, secrets } = compiled;
  const outside = new OutsideServices();
  try {
    const documents = new ServiceDocuments(outside.ask, (service) => instanceUrls(snapshot, service));
    const { apis, problems } = await askOnce(snapshot, secrets);
    for (const problem of problems) err(`${problem}\n`);
    const offered = (topic: string) => apis.get(topic);
    const merged = await wholeDocument({ snapshot, plan, document: loaded.config.document, offered }, documents);
    return { merged, audience: plan.sections.openapi?.audience ?? 'signed-in' };
  } finally {
    outside.close();
  }
}

function oneOf(value: unknown, known: readonly string[], option: string): string {
  const found = known.find((each) => each === value);
  if (found === undefined) throw new UsageError(`--${option} is one of ${known.join(', ')}, not "${String(value)}"`);
  return found;
}
