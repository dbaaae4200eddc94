/** A real Prometheus that scrapes a gateway each second. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { freePort } from './ports.ts';

export interface QueryAnswer {
  readonly status: string;
  readonly error?: string;
  readonly data: {
    readonly result: readonly {
      readonly metric: Readonly<Record<string, string>>;
      /** Time and value of an ordinary sample; native histograms have none. */
      readonly value?: readonly [number, string];
    }[];
  };
}

export interface TestPrometheus {
  query(expr: string): Promise<QueryAnswer>;
  /** Names of the alerts that fire. */
  alerts(): Promise<string[]>;
  exemplars(expr: string): Promise<readonly { readonly labels: Readonly<Record<string, string>> }[]>;
}

interface Scrape {
  /** For its configuration and data; removed by the caller. */
  readonly folder: string;
  /** Of the gateway. */
  readonly port: number;
  readonly rules?: readonly string[];
  /** Values of `--enable-feature`. */
  readonly features?: readonly string[];
}

export async function startPrometheus(
  t: { after(hook: () => Promise<void>): void },
  { folder, port: target, rules = [], features = [] }: Scrape,
): Promise<TestPrometheus> {
  const port = await freePort();
  writeFileSync(
    join(folder, 'prometheus.yml'),
    stringify({
      global: { scrape_interval: '1s', evaluation_interval: '1s' },
      rule_files: rules,
      scrape_configs: [
        { job_name: 'gatehouse', metrics_path: '/metrics', static_configs: [{ targets: [`127.0.0.1:${target}`] }] },
      ],
    }),
  );
  const child = spawn(
    'prometheus',
    [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      ...features.map((feature) => `--enable-feature=${feature}`),
    ],
    { stdio: 'ignore' },
  );
  t.after(async () => {
    if (child.exitCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
  });
  const api = `http://127.0.0.1:${port}/api/v1`;
  const untilMs = Date.now() + 30_000;
  for (;;) {
    assert.equal(child.exitCode, null, 'Prometheus runs');
    const response = await fetch(`http://127.0.0.1:${port}/-/ready`).catch(() => null);
    if (response?.ok === true) break;
    assert.ok(Date.now() < untilMs, 'Prometheus is ready');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    async query(expr) {
      return (await (await fetch(`${api}/query?query=${encodeURIComponent(expr)}`)).json()) as QueryAnswer;
    },
    async alerts() {
      const { data } = (await (await fetch(`${api}/alerts`)).json()) as {
        data: { alerts: { state: string; labels: { alertname: string } }[] };
      };
      return data.alerts.filter(({ state }) => state === 'firing').map(({ labels }) => labels.alertname);
    },
    async exemplars(expr) {
      const now = Date.now() / 1_000;
      const range = `start=${now - 300}&end=${now + 60}`;
      const response = await fetch(`${api}/query_exemplars?query=${encodeURIComponent(expr)}&${range}`);
      const { data } = (await response.json()) as {
        data: { exemplars: { labels: Record<string, string> }[] }[];
      };
      return data.flatMap(({ exemplars }) => exemplars);
    },
  };
}
