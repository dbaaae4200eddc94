/**
 * The planner's arithmetic, without HTTP: the critical path of tasks that wait for each other, and an estimate of a
 * task's hours from earlier tasks with similar names. No language model: it counts words.
 */
export interface Task {
  readonly name: string;
  readonly hours: number;
  /** Names of tasks that must be finished first. */
  readonly after: readonly string[];
}

export interface PlannedTask extends Task {
  /** Hours from the start of the plan. */
  readonly start: number;
  readonly finish: number;
  /** Hours that it may be late without delaying the whole. */
  readonly slack: number;
}

export interface Plan {
  readonly hours: number;
  readonly criticalPath: readonly string[];
  readonly tasks: readonly PlannedTask[];
}

/** Undefined when tasks wait for each other in a circle. Names must be distinct and known. */
export function plan(tasks: readonly Task[]): Plan | undefined {
  const order = inOrder(tasks);
  if (order === undefined) return undefined;
  const finish = new Map<string, number>();
  for (const task of order) finish.set(task.name, earliestStart(task, finish) + task.hours);
  const hours = Math.max(0, ...finish.values());
  const latestFinish = new Map<string, number>();
  for (const task of order.toReversed()) {
    const late = latestFinish.get(task.name) ?? hours;
    latestFinish.set(task.name, late);
    for (const name of task.after) {
      latestFinish.set(name, Math.min(latestFinish.get(name) ?? hours, late - task.hours));
    }
  }
  const planned = order.map((task): PlannedTask => {
    const end = finish.get(task.name) ?? 0;
    return { ...task, start: end - task.hours, finish: end, slack: (latestFinish.get(task.name) ?? hours) - end };
  });
  const isCritical = ({ slack }: PlannedTask): boolean => Math.abs(slack) < 1e-9;
  return { hours, criticalPath: planned.filter(isCritical).map(({ name }) => name), tasks: planned };
}

function earliestStart(task: Task, finish: ReadonlyMap<string, number>): number {
  return Math.max(0, ...task.after.map((name) => finish.get(name) ?? 0));
}

/** Every task behind those that it waits for (Kahn); of equals, the earlier written first. */
function inOrder(tasks: readonly Task[]): Task[] | undefined {
  const order: Task[] = [];
  const done = new Set<string>();
  let waiting = [...tasks];
  while (waiting.length > 0) {
    const ready = waiting.filter((task) => task.after.every((name) => done.has(name)));
    if (ready.length === 0) return undefined;
    for (const task of ready) done.add(task.name);
    order.push(...ready);
    waiting = waiting.filter((task) => !done.has(task.name));
  }
  return order;
}

function words(text: string): Set<string> {
  return new Set(text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []);
}

/** Mean hours of earlier tasks, weighted by the share of words in common (Jaccard); undefined when none has any. */
export function estimateHours(
  name: string,
  earlier: readonly { readonly name: string; readonly hours: number }[],
): number | undefined {
  const own = words(name);
  let weights = 0;
  let sum = 0;
  for (const task of earlier) {
    const other = words(task.name);
    const common = [...own].filter((word) => other.has(word)).length;
    const weight = common / (own.size + other.size - common || 1);
    weights += weight;
    sum += weight * task.hours;
  }
  return weights === 0 ? undefined : Math.round((sum / weights) * 100) / 100;
}
