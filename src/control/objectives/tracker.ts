/**
 * Follows objectives: reads the counts of their routes every few seconds and says how fast the error budget is used up.
 * Burn rates and thresholds are those of Google's Site Reliability Workbook, chapter 5: 14.4 over an hour and 5 minutes
 * (2 % of a month's budget) and 6 over six hours and 30 minutes (5 %) page, 1 over three days and six hours (10 %) is a
 * ticket.
 */
import type { MetricsReader, StatusCounts } from '../../base/metrics-reader.ts';
import type { Snapshot } from '../../data/contract/snapshot.ts';
import type { ObjectivePlan } from './section.ts';
import { type Counted, ErrorWindows, WINDOWS, type WindowName } from './windows.ts';

export type ObjectiveKind = 'availability' | 'latency';

export const ALERTS = [
  { severity: 'page', factor: 14.4, long: '1h', short: '5m' },
  { severity: 'page', factor: 6, long: '6h', short: '30m' },
  { severity: 'ticket', factor: 1, long: '3d', short: '6h' },
] as const satisfies readonly { severity: string; factor: number; long: WindowName; short: WindowName }[];

export interface ObjectiveReport {
  readonly objective: string;
  readonly kind: ObjectiveKind;
  readonly target: number;
  /** Of latency, milliseconds. */
  readonly under: number | null;
  readonly burnRates: Readonly<Record<WindowName, number>>;
  /** Share of the budget of thirty days that is left. */
  readonly budgetRemaining: number;
  /** Bad requests, and all, of the last hour. */
  readonly lastHour: Counted;
  readonly alert: 'page' | 'ticket' | null;
}

interface Followed {
  readonly plan: ObjectivePlan;
  readonly kind: ObjectiveKind;
  readonly target: number;
  readonly windows: ErrorWindows;
  /** Counts of each route when they were read last, by its id. */
  readonly last: Map<string, Counted>;
  total: number;
  bad: number;
}

export class ObjectiveTracker {
  readonly #reader: MetricsReader;
  readonly #wallMs: () => number;
  #followed: Followed[] = [];
  #snapshot: Snapshot | undefined;

  constructor(reader: MetricsReader, wallMs: () => number) {
    this.#reader = reader;
    this.#wallMs = wallMs;
  }

  /** What an objective had counted it keeps, as long as its name and kind stay. */
  follow(plans: readonly ObjectivePlan[], snapshot: Snapshot): void {
    if (this.#snapshot !== undefined) this.read();
    this.#snapshot = snapshot;
    const before = new Map(this.#followed.map((each) => [`${each.plan.name} ${each.kind}`, each]));
    const next: Followed[] = [];
    const add = (plan: ObjectivePlan, kind: ObjectiveKind, target: number): void => {
      const known = before.get(`${plan.name} ${kind}`);
      next.push({
        windows: new ErrorWindows(),
        last: new Map(),
        total: 0,
        bad: 0,
        ...known,
        plan,
        kind,
        target,
      });
    };
    for (const plan of plans) {
      if (plan.availability !== null) add(plan, 'availability', plan.availability);
      if (plan.latency !== null) add(plan, 'latency', plan.latency.target);
    }
    this.#followed = next;
  }

  get isEmpty(): boolean {
    return this.#followed.length === 0;
  }

  /** Takes up what has been counted since the last time. */
  read(): void {
    const routes = this.#snapshot?.routes ?? [];
    const wallMs = this.#wallMs();
    for (const followed of this.#followed) {
      let total = 0;
      let bad = 0;
      for (const index of followed.plan.routes) {
        const route = routes[index];
        if (route === undefined) continue;
        const now = countedBy(followed.kind, this.#reader.route(route.slot));
        const before = followed.last.get(route.id);
        // Counts begin anew where a slot got another owner.
        const isSame = before !== undefined && before.total <= now.total && before.bad <= now.bad;
        total += now.total - (isSame ? before.total : 0);
        bad += now.bad - (isSame ? before.bad : 0);
        followed.last.set(route.id, now);
      }
      followed.total += total;
      followed.bad += bad;
      if (total > 0) followed.windows.add(wallMs, total, bad);
    }
  }

  reports(): ObjectiveReport[] {
    const wallMs = this.#wallMs();
    return this.#followed.map(({ plan, kind, target, windows }) => {
      const burn = (window: WindowName): number => burnOf(windows.of(wallMs, window), target);
      const firing = ALERTS.find(
        ({ factor, long, short }) =>
          burn(long) >= factor && burn(short) >= factor && windows.of(wallMs, long).bad >= plan.minBad,
      );
      const period = windows.period(wallMs);
      return {
        objective: plan.name,
        kind,
        target,
        under: kind === 'latency' ? (plan.latency?.underMs ?? null) : null,
        burnRates: Object.fromEntries(
          (Object.keys(WINDOWS) as WindowName[]).map((window) => [window, burn(window)]),
        ) as Record<WindowName, number>,
        budgetRemaining: 1 - burnOf(period, target),
        lastHour: windows.of(wallMs, '1h'),
        alert: firing?.severity ?? null,
      };
    });
  }

  /** Since the process started. */
  counts(): readonly {
    readonly objective: string;
    readonly kind: ObjectiveKind;
    readonly total: number;
    readonly bad: number;
  }[] {
    return this.#followed.map(({ plan, kind, total, bad }) => ({ objective: plan.name, kind, total, bad }));
  }

  save(): unknown {
    return Object.fromEntries(
      this.#followed.map(({ plan, kind, windows }) => [`${plan.name} ${kind}`, windows.save()]),
    );
  }

  restore(saved: unknown): void {
    if (typeof saved !== 'object' || saved === null) return;
    for (const { plan, kind, windows } of this.#followed)
      windows.restore((saved as Readonly<Record<string, unknown>>)[`${plan.name} ${kind}`]);
  }
}

/** Bad share against the share that may be bad; 0 without requests. */
function burnOf({ total, bad }: Counted, target: number): number {
  return total === 0 ? 0 : bad / total / (1 - target);
}

/** Clients that left and callers who asked too often are no failures, and no successes either. */
const NOT_COUNTED = ['429', '499'];

function countedBy(kind: ObjectiveKind, counts: StatusCounts): Counted {
  const of = (status: string): number => counts.byStatus.get(status) ?? 0;
  const failed = [...counts.byStatus].reduce((sum, [status, count]) => sum + (status.startsWith('5') ? count : 0), 0);
  const total = counts.total - NOT_COUNTED.reduce((sum, status) => sum + of(status), 0) - counts.neither;
  if (kind === 'availability') return { total, bad: failed + counts.broken };
  // Tunnels last as long as they are wanted.
  const judged = total - failed - counts.broken - of('101');
  return { total: judged, bad: Math.max(0, judged - counts.within) };
}
