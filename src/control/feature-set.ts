/**
 * The features of a gateway, called in the order of features.ts. None before `start`: while the first ones
 * start they see no others.
 */
import type { RequestListener } from 'node:http';
import type { ExtraMetric, HistogramMetric } from '../base/extra-metric.ts';
import type { Compiled } from './config/compile.ts';
import type { AuditedAction, Feature, OperationsApi, OperatorHost } from './feature.ts';
import type { Dependency, FeatureStatus } from './feature-status.ts';
import type { OperatorAccounts } from './operator-accounts.ts';
import type { Exemplars } from './telemetry/exposition.ts';

export class FeatureSet {
  all: readonly Feature[] = [];
  #adminListener: Promise<RequestListener> | undefined;

  /** Rejects with the first reason why one cannot start. */
  async start(makers: readonly ((host: OperatorHost) => Feature)[], host: OperatorHost): Promise<void> {
    this.all = makers.map((make) => make(host));
    for (const feature of this.all) await feature.start?.(host.compiled);
  }

  async prepare(next: Compiled): Promise<void> {
    for (const feature of this.all) await feature.prepare?.(next);
  }

  restartKeys(next: Compiled): string[] {
    return this.all.flatMap((feature) => feature.restartKeys?.(next) ?? []);
  }

  applied(compiled: Compiled): void {
    for (const feature of this.all) feature.applied?.(compiled);
  }

  predecessorGone(): void {
    for (const feature of this.all) feature.predecessorGone?.();
  }

  draining(): void {
    for (const feature of this.all) feature.draining?.();
  }

  reopen(): void {
    for (const feature of this.all) feature.reopen?.();
  }

  async audit(entry: AuditedAction): Promise<void> {
    for (const feature of this.all) await feature.audit?.(entry);
  }

  /**
   * In turn. Together they have so long: what one of them waits for, such as a database that takes connections and
   * answers nothing, must not keep the gateway from its end. False: one was not done by then.
   */
  async stop(withinMs: number): Promise<boolean> {
    const late = Promise.withResolvers<false>();
    const timer = setTimeout(late.resolve, withinMs, false).unref();
    let isDone = true;
    for (const feature of this.all) {
      const stopped = Promise.resolve(feature.stop?.()).then(() => true);
      stopped.catch(() => {});
      isDone = (await Promise.race([stopped, late.promise])) && isDone;
    }
    clearTimeout(timer);
    return isDone;
  }

  // --- what they show --------------------------------------------------------------------------------------------

  accounts(): OperatorAccounts | undefined {
    for (const feature of this.all) {
      const found = feature.accounts?.();
      if (found !== undefined) return found;
    }
    return undefined;
  }

  operations(): ReadonlyMap<string, OperationsApi> {
    const found = this.all.flatMap((feature) => feature.operations?.() ?? []);
    return new Map(found.map((each) => [each.name, each]));
  }

  /** The admin API for processes that may open the control socket; made at first use. */
  adminListener(): Promise<RequestListener> | undefined {
    this.#adminListener ??= this.all.find((each) => each.controlListener !== undefined)?.controlListener?.();
    return this.#adminListener;
  }

  status(): FeatureStatus[] {
    return this.all.flatMap((feature) => feature.status?.() ?? []);
  }

  dependencies(): Dependency[] {
    return this.all.flatMap((feature) => feature.dependencies?.() ?? []);
  }

  metrics(): (ExtraMetric | HistogramMetric)[] {
    return this.all.flatMap((feature) => feature.metrics?.() ?? []);
  }

  exemplars(routeId: string): Exemplars | undefined {
    return this.all.find((feature) => feature.exemplars !== undefined)?.exemplars?.(routeId);
  }
}
