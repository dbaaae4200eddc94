/** What `gatehouse dashboards` writes: path below the folder, and text. */
import { stringify } from 'yaml';
import { alertGroups } from './alerts.ts';
import { BOARDS } from './boards.ts';
import { grafanaDashboard } from './grafana.ts';

export function dashboardFiles(): Readonly<Record<string, string>> {
  return {
    'prometheus/gatehouse.rules.yaml': `# Made by "gatehouse dashboards": change it there, or copy it.\n${stringify({ groups: alertGroups() }, { lineWidth: 0 })}`,
    ...Object.fromEntries(
      BOARDS.map((board) => [`grafana/${board.id}.json`, `${JSON.stringify(grafanaDashboard(board), null, 2)}\n`]),
    ),
  };
}
