/** The rules that apply to one request, and the fields of the response that tell of them. */
import { LimitHeaders } from './headers.ts';
import { RuleSet } from './limiter.ts';
import type { Rule } from './rule.ts';

let made = 0;

export class LimitSet extends RuleSet {
  /** Unlike that of every other set of this worker. */
  readonly number: number = ++made;
  readonly headers: LimitHeaders;
  readonly names: readonly string[];
  /** The plan whose limits are among the rules; empty if none are. */
  readonly plan: string;
  /** For each rule, the field of the response with its cost; null if none. */
  readonly costHeaders: readonly (string | null)[];

  constructor(parts: {
    rules: readonly Rule[];
    keys: readonly number[];
    costs: readonly number[];
    names: readonly string[];
    costHeaders: readonly (string | null)[];
    plan: string;
  }) {
    super(parts.rules, parts.keys, parts.costs);
    this.names = parts.names;
    this.plan = parts.plan;
    this.costHeaders = parts.costHeaders;
    this.headers = new LimitHeaders(parts.rules, parts.names);
  }
}
