/**
 * Who may do what with which topic of the hub. A topic is a subject of the hub's stream; a rule is a pattern, with
 * placeholders of the caller, and says who may subscribe and publish. The first rule that covers a topic decides.
 */
import { compilePattern, encodePart, type SubjectTest } from '../../../data/contract/subjects.ts';

export interface Caller {
  /** Null: nobody that is known. */
  readonly user: string | null;
  /** The same over all issuers, of which two may have a user of one name. */
  readonly account: string | null;
  readonly plan: string | null;
  readonly roles: readonly string[];
  readonly scopes: readonly string[];
}

export type Right =
  | 'anyone'
  | 'users'
  | 'nobody'
  /** One of the roles, if any are named, and all of the scopes. */
  | { readonly roles: readonly string[]; readonly scopes: readonly string[] };

export interface TopicRule {
  /** Such as `training.{auth.sub}.>`. */
  readonly topic: string;
  /** Clients are subscribed when they come in. */
  readonly join: boolean;
  readonly subscribe: Right;
  readonly publish: Right;
  readonly presence: boolean;
}

export const PLACEHOLDER = /\{\s*auth\.(sub|account|plan)\s*\}/g;

/** The pattern for a caller; null when a placeholder has no value. A value fills one part, whatever it holds. */
export function topicFor(rule: TopicRule, caller: Caller): string | null {
  let isKnown = true;
  const filled = rule.topic.replace(PLACEHOLDER, (_, name: string) => {
    const value = name === 'sub' ? caller.user : name === 'plan' ? caller.plan : caller.account;
    if (value === null || value === '') isKnown = false;
    return encodePart(value ?? '');
  });
  return isKnown ? filled : null;
}

/** Is every subject that `asked` matches one that `pattern` matches? Both may have wildcards. */
export function covers(pattern: string, asked: string): boolean {
  const one = pattern.split('.');
  const other = asked.split('.');
  for (let i = 0; i < one.length; i++) {
    const part = one[i]!;
    const found = other[i];
    if (found === undefined) return false;
    if (part === '>') return true;
    if (found === '>') return false;
    if (part !== '*' && part !== found) return false;
  }
  return one.length === other.length;
}

export function isAllowed(right: Right, caller: Caller): boolean {
  if (right === 'anyone') return true;
  if (right === 'nobody' || caller.user === null) return false;
  if (right === 'users') return true;
  const { roles, scopes } = right;
  const hasRole = roles.length === 0 || roles.some((role) => caller.roles.includes(role));
  return hasRole && scopes.every((scope) => caller.scopes.includes(scope));
}

/** The rule that decides about a topic, or undefined: nobody may do anything with it. */
export function ruleFor(rules: readonly TopicRule[], topic: string, caller: Caller): TopicRule | undefined {
  return rules.find((rule) => {
    const pattern = topicFor(rule, caller);
    return pattern !== null && covers(pattern, topic);
  });
}

/** Is there a subject that matches both? Both may have wildcards. */
function overlap(a: string, b: string): boolean {
  const one = a.split('.');
  const other = b.split('.');
  for (let i = 0; i < one.length && i < other.length; i++) {
    const [part, found] = [one[i]!, other[i]!];
    if (part === '>' || found === '>') return true;
    if (part !== '*' && found !== '*' && part !== found) return false;
  }
  return one.length === other.length;
}

/**
 * Which messages a subscription to `topic`, which `rule` lets the caller have, brings: with wildcards it may reach into
 * topics about which an earlier rule decides, and that one says no.
 */
export function readable(rules: readonly TopicRule[], rule: TopicRule, topic: string, caller: Caller): SubjectTest {
  const wanted = compilePattern(topic);
  const earlier = rules.slice(0, rules.indexOf(rule)).flatMap((each) => {
    const pattern = topicFor(each, caller);
    if (pattern === null || !overlap(pattern, topic)) return [];
    return [{ test: compilePattern(pattern), isAllowed: isAllowed(each.subscribe, caller) }];
  });
  if (earlier.every((each) => each.isAllowed)) return wanted;
  return (subject) => wanted(subject) && (earlier.find(({ test }) => test(subject))?.isAllowed ?? true);
}

/** All that decides about a subscription of this caller, to compare with what does later. */
export function rightsOf(rules: readonly TopicRule[], topic: string, caller: Caller): string {
  const rule = ruleFor(rules, topic, caller);
  const deciding = rules.slice(0, rule === undefined ? 0 : rules.indexOf(rule) + 1).filter((each) => {
    const pattern = topicFor(each, caller);
    return pattern !== null && overlap(pattern, topic);
  });
  return JSON.stringify(deciding);
}
