/**
 * Objectives as a feature of the control plane: follows them, shows them in metrics and status, and keeps what it has
 * seen in a file of the data folder, so that budgets outlive a restart.
 */
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../base/errors.ts';
import type { ExtraMetric } from '../../base/extra-metric.ts';
import type { Feature, OperatorHost } from '../feature.ts';
import type { Trouble } from '../feature-status.ts';
import { type ObjectiveReport, ObjectiveTracker } from './tracker.ts';

const READ_MS = 5_000;
const SAVE_EVERY = 60;

export function objectivesFeature(host: Pick<OperatorHost, 'metrics' | 'log' | 'configuration'>): Feature {
  const tracker = new ObjectiveTracker(host.metrics, Date.now);
  let file = '';
  let timer: NodeJS.Timeout | undefined;
  let reads = 0;
  let saving: Promise<void> = Promise.resolve();
  let isHandedOver = false;
  const save = (): Promise<void> => {
    if (tracker.isEmpty || isHandedOver) return saving;
    const text = JSON.stringify(tracker.save());
    saving = saving.then(async () => {
      try {
        await writeFile(`${file}.new`, text, { mode: 0o600 });
        await rename(`${file}.new`, file);
      } catch (error) {
        host.log.warn('error budgets could not be saved', { problem: messageOf(error) });
      }
    });
    return saving;
  };
  return {
    async start({ plan, snapshot }) {
      file = join(plan.dataDir, 'objectives.json');
      tracker.follow(plan.sections.objectives, snapshot);
      const text = await readFile(file, 'utf8').catch(() => '');
      try {
        if (text !== '') tracker.restore(JSON.parse(text));
      } catch (error) {
        host.log.warn('error budgets begin anew: the file cannot be read', { file, problem: messageOf(error) });
      }
      timer = setInterval(() => {
        tracker.read();
        if (++reads % SAVE_EVERY === 0) void save();
      }, READ_MS).unref();
    },
    applied({ plan }) {
      // The live snapshot has the slots that workers count in.
      tracker.follow(plan.sections.objectives, host.configuration.snapshot);
    },
    metrics(): readonly ExtraMetric[] {
      if (tracker.isEmpty) return [];
      tracker.read();
      const counts = tracker.counts();
      const reports = tracker.reports();
      const byKind = <T extends { readonly objective: string; readonly kind: string }>(
        all: readonly T[],
        value: (each: T) => number,
      ): ExtraMetric['samples'] =>
        all.map((each) => ({ labels: { objective: each.objective, kind: each.kind }, value: value(each) }));
      return [
        {
          name: 'gatehouse_objective_requests_total',
          type: 'counter',
          help: 'Requests that an objective looks at',
          samples: byKind(counts, ({ total }) => total),
        },
        {
          name: 'gatehouse_objective_bad_total',
          type: 'counter',
          help: 'Requests that missed an objective',
          samples: byKind(counts, ({ bad }) => bad),
        },
        {
          name: 'gatehouse_objective_target_ratio',
          type: 'gauge',
          help: 'Share of requests that an objective wants to be good',
          samples: byKind(reports, ({ target }) => target),
        },
        {
          name: 'gatehouse_objective_burn_rate',
          type: 'gauge',
          help: 'How fast the error budget is used up; 1 uses it up in exactly its period',
          samples: reports.flatMap(({ objective, kind, burnRates }) =>
            Object.entries(burnRates).map(([window, value]) => ({ labels: { objective, kind, window }, value })),
          ),
        },
        {
          name: 'gatehouse_objective_budget_remaining_ratio',
          type: 'gauge',
          help: 'Share of the error budget of 30 days that is left; below 0 it is overspent',
          samples: byKind(reports, ({ budgetRemaining }) => budgetRemaining),
        },
      ];
    },
    status() {
      if (tracker.isEmpty) return {};
      tracker.read();
      const reports = tracker.reports();
      return { sections: { objectives: reports }, troubles: reports.flatMap(troubleOf) };
    },
    async handOver() {
      tracker.read();
      await save();
      isHandedOver = true;
      return () => {
        isHandedOver = false;
      };
    },
    async stop() {
      clearInterval(timer);
      tracker.read();
      await save();
    },
  };
}

function troubleOf({ objective, kind, alert, lastHour }: ObjectiveReport): Trouble[] {
  if (alert === null) return [];
  const missed = `${lastHour.bad} of ${lastHour.total} requests of the last hour missed it`;
  const severity = alert === 'page' ? 'error' : 'warning';
  return [
    { severity, subject: `objective ${objective}`, message: `its error budget for ${kind} burns too fast: ${missed}` },
  ];
}
