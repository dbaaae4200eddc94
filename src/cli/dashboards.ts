/**
 * `gatehouse dashboards`: writes alert rules for Prometheus and dashboards for Grafana, made of the catalogue of
 * metrics.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Command } from './command.ts';
import { EXIT } from './command.ts';

export const dashboards: Command = {
  name: 'dashboards',
  summary: 'write alert rules for Prometheus and dashboards for Grafana',
  usage: ['[--out DIR]'],
  description: `Writes prometheus/gatehouse.rules.yaml and grafana/*.json into DIR, by default the working directory. They fit the metrics of this version; files of an earlier one are overwritten.

Exit codes: 0 written, 5 a file cannot be written.`,
  options: { out: { type: 'string', short: 'o', value: 'DIR', meaning: 'folder to write into' } },
  arguments: { min: 0, max: 0 },
  async run({ options, cwd, out, err }) {
    const { dashboardFiles } = await import('../control/dashboards/files.ts');
    const folder = resolve(cwd, (options['out'] as string | undefined) ?? '.');
    try {
      for (const [path, text] of Object.entries(dashboardFiles())) {
        const file = join(folder, path);
        await mkdir(dirname(file), { recursive: true });
        await writeFile(file, text);
        out(`wrote ${file}\n`);
      }
    } catch (error) {
      err(`${(error as Error).message}\n`);
      return EXIT.failed;
    }
    return EXIT.ok;
  },
};
