/**
 * What Grafana asks of a dashboard that it imports, as far as its published types and documentation say: ids, places on
 * the grid, variables, queries. Whether the queries are answered: test/monitoring/prometheus.test.ts.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BOARDS } from './boards.ts';
import { grafanaDashboard } from './grafana.ts';

interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly schemaVersion: number;
  readonly links: readonly Record<string, unknown>[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly type: string }[] };
  readonly panels: readonly {
    readonly id: number;
    readonly type: string;
    readonly title: string;
    readonly datasource: { readonly type: string; readonly uid: string };
    readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
    readonly options: Record<string, unknown>;
    readonly targets: readonly { readonly refId: string; readonly expr: string; readonly legendFormat: string }[];
  }[];
}

const COLUMNS = 24;
/** Grafana's own, besides the variables of the board. */
const BUILT_IN = ['__rate_interval', 'datasource'];

const dashboards = BOARDS.map((board) => grafanaDashboard(board) as Dashboard);

test('each dashboard has an id and a title of its own, and what its types demand', () => {
  const of = (read: (dashboard: Dashboard) => string): Set<string> => new Set(dashboards.map(read));
  assert.equal(of(({ uid }) => uid).size, dashboards.length);
  assert.equal(of(({ title }) => title).size, dashboards.length);
  for (const { uid, links, schemaVersion } of dashboards) {
    assert.match(uid, /^[a-zA-Z0-9_-]{1,40}$/);
    assert.equal(schemaVersion, 39);
    for (const link of links)
      for (const key of [
        'title',
        'type',
        'icon',
        'tooltip',
        'tags',
        'asDropdown',
        'targetBlank',
        'includeVars',
        'keepTime',
      ])
        assert.ok(key in link, `links of ${uid}: ${key}`);
  }
});

test('panels have ids of their own and lie side by side on the grid', () => {
  for (const { uid, panels } of dashboards) {
    assert.deepEqual([...new Set(panels.map(({ id }) => id))].length, panels.length, uid);
    const taken = new Set<string>();
    for (const { gridPos, title, type, options } of panels) {
      const { x, y, w, h } = gridPos;
      assert.ok(x >= 0 && y >= 0 && w > 0 && h > 0 && x + w <= COLUMNS, `${uid}: ${title}`);
      for (let column = x; column < x + w; column++)
        for (let row = y; row < y + h; row++) {
          assert.ok(!taken.has(`${column} ${row}`), `${uid}: ${title} lies on another panel`);
          taken.add(`${column} ${row}`);
        }
      assert.ok(['stat', 'timeseries'].includes(type), type);
      const wanted = type === 'stat' ? ['reduceOptions', 'colorMode', 'graphMode'] : ['legend', 'tooltip'];
      assert.deepEqual(Object.keys(options), wanted, title);
    }
  }
});

test('queries have names of their own and use the data source and variables that there are', () => {
  for (const { uid, panels, templating } of dashboards) {
    const known = [...templating.list.map(({ name }) => name), ...BUILT_IN];
    assert.equal(templating.list.find(({ type }) => type === 'datasource')?.name, 'datasource');
    for (const { title, datasource, targets } of panels) {
      assert.deepEqual({ ...datasource }, { type: 'prometheus', uid: `\${datasource}` }, title);
      assert.ok(targets.length > 0, title);
      assert.equal(new Set(targets.map(({ refId }) => refId)).size, targets.length, title);
      for (const { expr } of targets)
        for (const [, name = ''] of expr.matchAll(/\$(\w+)/g))
          assert.ok(known.includes(name), `${uid}: ${title}: there is no variable ${name}`);
    }
  }
});
