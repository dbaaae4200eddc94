/** A line chart of the last minutes, and the same numbers as a table for those who cannot see it. */

import { clock, html, number } from './ui.js';
import { useEffect, useRef, useState } from './vendor/hooks.js';
import uPlot from './vendor/uplot.js';

const DARK = matchMedia('(prefers-color-scheme: dark)');
const COLOURS = ['--accent', '--bad', '--warn'];

export function Chart({ title, points, series }) {
  const box = useRef(null);
  const plot = useRef(null);
  const data = [points.map(({ at }) => at), ...series.map(({ key }) => points.map((point) => point[key]))];
  const [isDark, setDark] = useState(DARK.matches);
  useEffect(() => {
    const change = () => setDark(DARK.matches);
    DARK.addEventListener('change', change);
    return () => DARK.removeEventListener('change', change);
  }, []);
  useEffect(() => {
    const element = box.current;
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const line = { stroke: colour('--line'), width: 1 };
    const axis = { stroke: colour('--soft'), grid: line, ticks: line };
    const times = (_, splits) => splits.map((at) => clock(at * 1000));
    const size = () => ({ width: element.clientWidth || 300, height: 180 });
    const chart = new uPlot(
      {
        ...size(),
        cursor: { drag: { x: false, y: false } },
        scales: { y: { range: (_, __, max) => [0, Math.max(1, (max ?? 0) * 1.1)] } },
        axes: [
          { ...axis, values: times, space: 90 },
          { ...axis, size: 55 },
        ],
        series: [
          { label: 'time', value: (_, at) => (at === null ? '–' : clock(at * 1000)) },
          ...series.map(({ label }, index) => ({ label, stroke: colour(COLOURS[index]), width: 2 })),
        ],
      },
      data,
      element,
    );
    plot.current = chart;
    const resized = new ResizeObserver(() => chart.setSize(size()));
    resized.observe(element);
    return () => {
      resized.disconnect();
      chart.destroy();
      plot.current = null;
    };
  }, [isDark]);
  useEffect(() => plot.current?.setData(data), [points]);
  const recent = points.slice(-15).reverse();
  return html`<figure>
    <figcaption class="soft">${title}</figcaption>
    <div class="chart" ref=${box} aria-hidden="true"></div>
    <details><summary>${title}, as a table</summary>
      <div class="scroll" tabindex="0" role="region" aria-label=${title}><table>
        <thead><tr><th scope="col">Time</th>${series.map(({ label }) => html`<th scope="col">${label}</th>`)}</tr></thead>
        <tbody>${recent.map((point) => html`<tr><td>${clock(point.at * 1000)}</td>${series.map(({ key }) => html`<td>${number(point[key])}</td>`)}</tr>`)}</tbody>
      </table></div>
    </details>
  </figure>`;
}
