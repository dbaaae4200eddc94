/**
 * What `gatehouse check` does not take of a draft is closed, or left out where a route cannot even be closed, so that
 * the rest can be used. One change may bring the next problem: the document is checked again after each round.
 */
import type { Problem } from '../../control/config/problems.ts';
import { type Draft, type DraftRoute, isGuarded, list, mapping } from './draft.ts';

/** True: the document is another one now. */
export function closeRefused(draft: Draft, problems: readonly Problem[]): boolean {
  const errors = problems.filter(({ severity }) => severity === 'error');
  if (errors.some((problem) => lowerAll(draft, problem))) return true;
  const gone = new Set<DraftRoute>();
  let isChanged = false;
  for (const problem of errors) {
    const route = routeOf(draft, problem);
    if (route !== undefined) {
      if (!gone.has(route)) refuseRoute(draft, route, problem, gone);
      isChanged = true;
    } else if (closeUsers(draft, problem)) isChanged = true;
  }
  draft.drop(gone);
  draft.settle();
  return isChanged;
}

function routeOf(draft: Draft, { key }: Problem): DraftRoute | undefined {
  const index = /^routes\[(\d+)\]/.exec(key)?.[1];
  return index === undefined ? undefined : draft.routes[Number(index)];
}

/** A route stands before the gateway's own endpoints: only the order of routes among each other matters. */
function lowerAll(draft: Draft, problem: Problem): boolean {
  const priority = routeOf(draft, problem)?.priority ?? 0;
  if (!/^stands in the way of/.test(problem.message) || priority <= 0) return false;
  for (const each of draft.routes) each.priority = (each.priority ?? 0) - priority;
  return true;
}

function refuseRoute(draft: Draft, route: DraftRoute, problem: Problem, gone: Set<DraftRoute>): void {
  const { key, message } = problem;
  if (/^can never match: routes/.test(message)) {
    draft.approximate(route.name, `left out, since others take all its requests: ${message}`);
    gone.add(route);
    return;
  }
  const field = /^routes\[\d+\]\.(\w+)/.exec(key)?.[1];
  if (field !== undefined && field !== 'match' && field !== 'priority' && !draft.isClosed(route)) {
    draft.close(route, route.name, words(problem));
    return;
  }
  draft.lost(route.name, words(problem));
  gone.add(route);
  const { path } = route.match;
  if (isGuarded(route)) draft.closeWider(typeof path === 'string' ? path.replace(/[:*].*$/, '') : '', route.name);
}

/** Closes the routes that use a service or an issuer that is refused. True: there are some. */
function closeUsers(draft: Draft, problem: Problem): boolean {
  const [, section, quoted, plain] = /^(services|issuers)\.(?:"([^"]+)"|([\w-]+))/.exec(problem.key) ?? [];
  if (section === undefined) return false;
  const name = quoted ?? plain ?? '';
  const users = draft.routes.filter(({ service, auth }) =>
    section === 'services' ? service === name : list(mapping(mapping(auth)['jwt'])['issuers']).includes(name),
  );
  for (const route of users) draft.close(route, `${section}/${name}`, words(problem));
  if (section === 'issuers') delete draft.issuers[name];
  return users.length > 0;
}

function words({ key, message, got }: Problem): string {
  return `"gatehouse check" refuses ${key}: ${message}${got === undefined ? '' : ` (got ${got})`}`;
}
