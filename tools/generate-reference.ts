/**
 * Writes what is made from the schemas and the list of commands: the JSON Schema for editors and the pages of
 * docs/reference/. Run it after any change of a key, a variable or a command: `npx node tools/generate-reference.ts`.
 * A test compares the files with what would be written.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { editorSchema, inputSchema } from '../src/control/config/json-schema.ts';
import { allVariables, PLAIN_VARIABLES } from '../src/control/config/variables.ts';
import { dashboardFiles } from '../src/control/dashboards/files.ts';
import { CORE_METRICS, FEATURE_METRICS, type MetricDefinition } from '../src/control/telemetry/catalogue.ts';
import { accountApiPage } from './account-api-page.ts';
import { chartSchema } from './chart-schema.ts';
import { configurationTypes } from './configuration-types.ts';
import { configurationPage } from './reference-page.ts';

const ROOT = new URL('../', import.meta.url);

/** Paths in the project, and what belongs there. */
export function generatedFiles(): Readonly<Record<string, string>> {
  const monitoring = Object.entries(dashboardFiles());
  return {
    'schema/gatehouse.schema.json': `${JSON.stringify(editorSchema(), null, 2)}\n`,
    'src/control/config/written.ts': configurationTypes(inputSchema()),
    'docs/reference/configuration.md': configurationPage(inputSchema()),
    'docs/reference/account-api.md': accountApiPage(),
    'docs/reference/environment.md': environmentPage(),
    'docs/reference/metrics.md': metricsPage(),
    ...Object.fromEntries(monitoring.map(([path, text]) => [`deploy/monitoring/${path}`, text])),
    'deploy/helm/gatehouse/values.schema.json': `${JSON.stringify(chartSchema(), null, 1)}\n`,
    // A chart can only read files of its own folder.
    ...Object.fromEntries(monitoring.map(([path, text]) => [`deploy/helm/gatehouse/files/${path}`, text])),
  };
}

function metricsPage(): string {
  const rows = (metrics: Readonly<Record<string, MetricDefinition>>): string =>
    Object.entries(metrics)
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([name, { type, labels, help }]) => {
        const shown = labels.map((label) => `\`${label}\``).join(', ');
        return `| \`${name}\` | ${type} | ${shown} | ${help.replaceAll('|', '\\|')} |`;
      })
      .join('\n');
  const head = '| Metric | Type | Labels | What |\n| --- | --- | --- | --- |';
  return `# Metrics

What \`/metrics\` says; [the guide](../guide/monitoring.md) has where and for whom. Histograms also have \`_bucket\`, \`_sum\` and \`_count\`.

## Always there

${head}
${rows(CORE_METRICS)}

## While a feature is in use

${head}
${rows(FEATURE_METRICS)}
`;
}

function environmentPage(): string {
  const rows = allVariables().map(({ name, path, meaning }) => `| \`${name}\` | \`${path.join('.')}\` | ${meaning} |`);
  const plain = PLAIN_VARIABLES.map(({ name, meaning }) => `| \`${name}\` | | ${meaning} |`);
  return `# Environment variables

A variable that stands for a key wins over the file; the file wins over the default. A variable that is set and empty counts
as not set. Each is checked like the key that it stands for: a wrong one stops the start.

A file can also name any variable itself, as \`\${NAME}\` or \`\${NAME:-default}\`; see [the guide](../guide/configuration.md).

| Variable | Key | Meaning |
| --- | --- | --- |
${[...rows, ...plain].join('\n')}
`;
}

if (import.meta.main) {
  for (const [path, text] of Object.entries(generatedFiles())) {
    const file = new URL(path, ROOT);
    mkdirSync(dirname(fileURLToPath(file)), { recursive: true });
    writeFileSync(file, text);
  }
}
