/** Dashboards as Grafana imports or provisions them (schema version 39), with the data source as a variable. */
import type { Board, Panel } from './boards.ts';

const COLUMNS = 24;
const HEIGHT = 8;
const STAT_HEIGHT = 4;
// biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana fills it in
const DATASOURCE = { type: 'prometheus', uid: '${datasource}' };

export function grafanaDashboard(board: Board): unknown {
  return {
    uid: `gatehouse-${board.id}`,
    title: board.title,
    tags: ['gatehouse'],
    schemaVersion: 39,
    version: 1,
    editable: true,
    graphTooltip: 1,
    refresh: '30s',
    time: { from: 'now-1h', to: 'now' },
    timezone: '',
    annotations: { list: [] },
    links: [
      {
        title: 'Gatehouse',
        type: 'dashboards',
        tags: ['gatehouse'],
        icon: 'external link',
        tooltip: '',
        targetBlank: false,
        asDropdown: true,
        includeVars: false,
        keepTime: true,
      },
    ],
    templating: {
      list: [
        { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus', hide: 0 },
        ...Object.entries(board.variables).map(([name, from]) => ({
          name,
          type: 'query',
          datasource: DATASOURCE,
          query: { query: `label_values(${from}, ${name})`, refId: name },
          definition: `label_values(${from}, ${name})`,
          refresh: 2,
          includeAll: true,
          allValue: '.*',
          multi: true,
          sort: 1,
          current: { text: 'All', value: '$__all' },
        })),
      ],
    },
    panels: placed(board.panels),
  };
}

/** Numbers in rows of four, charts in rows of two. */
function placed(panels: readonly Panel[]): unknown[] {
  let x = 0;
  let y = 0;
  let rowHeight = 0;
  return panels.map((panel, index) => {
    const w = panel.kind === 'stat' ? COLUMNS / 4 : COLUMNS / 2;
    const h = panel.kind === 'stat' ? STAT_HEIGHT : HEIGHT;
    if (x + w > COLUMNS || (rowHeight !== 0 && h !== rowHeight)) {
      x = 0;
      y += rowHeight;
    }
    rowHeight = h;
    const gridPos = { x, y, w, h };
    x += w;
    return {
      id: index + 1,
      type: panel.kind,
      title: panel.title,
      datasource: DATASOURCE,
      gridPos,
      fieldConfig: {
        defaults: { unit: panel.unit, ...(panel.kind === 'timeseries' ? { min: 0 } : {}) },
        overrides: [],
      },
      options:
        panel.kind === 'stat'
          ? {
              reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
              colorMode: 'value',
              graphMode: 'area',
            }
          : {
              legend: { displayMode: 'list', placement: 'bottom', showLegend: true, calcs: [] },
              tooltip: { mode: 'multi', sort: 'desc' },
            },
      targets: panel.queries.map(({ expr, legend }, i) => ({
        refId: String.fromCharCode(65 + i),
        datasource: DATASOURCE,
        expr,
        legendFormat: legend,
        range: true,
      })),
    };
  });
}
