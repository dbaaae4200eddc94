/**
 * Regular expressions that cannot be made slow. JavaScript's engine backtracks, so a pattern such as `(a+)+b` takes
 * exponential time on a text that an attacker picks; a configuration with one is refused when it is loaded, because
 * later no error can be reported. What passes costs, per character of the text, at most a constant that depends on the
 * pattern alone.
 *
 * The check builds the Glushkov automaton (one state per character position) and looks for a state from which one
 * character can be read in two ways:
 *
 *     outside of every loop       costs a constant factor: (en|es|et); their product is bounded by MAX_FORKS
 *     both ways stay in the loop  exponential, refused              (a+)+   (a|a)*   (\d*\d)*
 *     one way leaves the loop     linear if no loop can follow, else quadratic and refused
 *                                 allowed: .+\.jpg      refused: .*x.*y
 *
 * A loop over something that can be empty is refused as well: the automaton does not show it, the engine suffers it.
 *
 * A final `[\s\S]*` takes whatever is left, so it is never the reason why an earlier choice is tried again; what
 * stands before it is judged alone, and `.*x[\s\S]*` (a text with an x in it) is allowed.
 */
import { ALL, type CharSet, parseRegex, type RegexNode } from './regex-syntax.ts';

export const MAX_REGEX_LENGTH = 1_024;
/** Character positions after `{n,m}` is written out. */
const MAX_STATES = 512;
const MAX_EDGES = 20_000;
/** In how many ways, loops aside, a text can be read along the worst path. */
const MAX_FORKS = 64;

/** Says why `source` may not be used to match a whole text, or nothing. */
export function regexProblem(source: string): string | undefined {
  if (source.length > MAX_REGEX_LENGTH) return `the expression is longer than ${MAX_REGEX_LENGTH} characters`;
  const tree = parseRegex(source);
  if (typeof tree === 'string') return tree;
  const automaton = new Automaton();
  const whole = automaton.build(withoutRest(tree, source));
  automaton.link([0], whole.first);
  return automaton.problem ?? automaton.ambiguity();
}

const REST = '[\\s\\S]*';

/** Without a `[\s\S]*` at the end. The text is looked at too: sets of other languages' letters count as all. */
function withoutRest(tree: RegexNode, source: string): RegexNode {
  if (!source.endsWith(REST) || tree.kind !== 'sequence') return tree;
  const last = tree.items.at(-1);
  const isRest = last?.kind === 'repeat' && last.min === 0 && last.item.kind === 'set' && last.item.set === ALL;
  return isRest ? { kind: 'sequence', items: tree.items.slice(0, -1) } : tree;
}

/** Compiles `source` so that it must match a whole text. Throws a TypeError where `regexProblem` finds one. */
export function wholeRegex(source: string): RegExp {
  const problem = regexProblem(source);
  if (problem !== undefined) throw new TypeError(`regular expression "${source}": ${problem}`);
  return new RegExp(`^(?:${source})$`, 'u');
}

/** What every text that `source` matches begins with, as far as it is certain; often a path up to its first group. */
export function literalPrefix(source: string): string {
  const tree = parseRegex(source);
  if (typeof tree === 'string') return '';
  let prefix = '';
  const take = (node: RegexNode): boolean => {
    if (node.kind === 'empty') return true;
    if (node.kind === 'sequence') return node.items.every(take);
    if (node.kind !== 'set') return false;
    const code = onlyCode(node.set);
    if (code === undefined) return false;
    prefix += String.fromCharCode(code);
    return true;
  };
  take(tree);
  return prefix;
}

/** Does `source` match every text, as `.*` does every text of one line? */
export function matchesEverything(source: string): boolean {
  return /^\^?(?:\/?\.\*|\(\/?\.\*\))\$?$/.test(source);
}

function onlyCode(set: CharSet): number | undefined {
  if (set === 0n || (set & (set - 1n)) !== 0n) return undefined;
  const code = set.toString(2).length - 1;
  return code > 255 ? undefined : code;
}

interface Part {
  readonly nullable: boolean;
  readonly first: readonly number[];
  readonly last: readonly number[];
}

const EMPTY: Part = { nullable: true, first: [], last: [] };

class Automaton {
  problem: string | undefined;
  /** Per state the characters that lead into it; state 0 is the start. */
  readonly #sets: CharSet[] = [ALL];
  readonly #follow: number[][] = [[]];
  #edges = 0;

  build(node: RegexNode): Part {
    if (this.problem !== undefined) return EMPTY;
    switch (node.kind) {
      case 'empty':
        return EMPTY;
      case 'set':
        return this.#state(node.set);
      case 'sequence':
        return node.items.reduce<Part>((left, item) => this.#join(left, this.build(item)), EMPTY);
      case 'choice':
        return this.#choice(node.items.map((item) => this.build(item)));
      case 'repeat':
        return this.#repeat(node.item, node.min, node.max);
    }
  }

  link(from: readonly number[], to: readonly number[]): void {
    this.#edges += from.length * to.length;
    if (this.#edges > MAX_EDGES) {
      this.problem ??= 'the expression is too large';
      return;
    }
    for (const state of from) this.#follow[state]!.push(...to);
  }

  /** Looks at every pair of ways out of every state, and multiplies the forks along the worst path. */
  ambiguity(): string | undefined {
    const loops = findLoops(this.#follow);
    const forks = new Array<number>(this.#follow.length).fill(1);
    for (let state = 0; state < this.#follow.length; state++) {
      const ways = this.#follow[state]!;
      for (let i = 0; i < ways.length; i++) {
        let alternatives = 1;
        for (let j = 0; j < ways.length; j++) {
          if (i === j || (this.#sets[ways[i]!]! & this.#sets[ways[j]!]!) === 0n) continue;
          const problem = judge(state, ways[i]!, ways[j]!, loops);
          if (problem !== undefined) return problem;
          alternatives++;
        }
        forks[state] = Math.max(forks[state]!, alternatives);
      }
    }
    return this.#worstPath(forks, loops) > MAX_FORKS ? 'too many alternatives can match the same text' : undefined;
  }

  /** A loop counts once: what forks inside of it without leaving has been refused. */
  #worstPath(forks: readonly number[], loops: Loops): number {
    const worst = new Array<number>(loops.members.length).fill(1);
    for (let component = 0; component < loops.members.length; component++) {
      let own = 1;
      let behind = 1;
      for (const state of loops.members[component]!) {
        own = Math.max(own, forks[state]!);
        for (const next of this.#follow[state]!) {
          if (loops.component[next] !== component) behind = Math.max(behind, worst[loops.component[next]!]!);
        }
      }
      worst[component] = own * behind;
    }
    return worst[loops.component[0]!]!;
  }

  #state(set: CharSet): Part {
    const state = this.#sets.length;
    if (state > MAX_STATES) {
      this.problem ??= 'the expression is too large';
      return EMPTY;
    }
    this.#sets.push(set);
    this.#follow.push([]);
    return { nullable: false, first: [state], last: [state] };
  }

  #join(left: Part, right: Part): Part {
    this.link(left.last, right.first);
    return {
      nullable: left.nullable && right.nullable,
      first: left.nullable ? [...left.first, ...right.first] : left.first,
      last: right.nullable ? [...left.last, ...right.last] : right.last,
    };
  }

  #choice(parts: readonly Part[]): Part {
    const empty = parts.filter((part) => part.nullable).length;
    if (empty > 1) this.problem ??= 'several alternatives can be empty';
    return {
      nullable: empty > 0,
      first: parts.flatMap((part) => part.first),
      last: parts.flatMap((part) => part.last),
    };
  }

  /** Written out: `x{2,4}` is `xx(x(x)?)?`, `x{2,}` is `xx+`. */
  #repeat(item: RegexNode, min: number, max: number): Part {
    if (max === 0) return EMPTY;
    const once = this.build(item);
    if (once.nullable) {
      if (max === 1 && min === 1) return once;
      this.problem ??= 'something that can be empty is repeated';
    }
    if (max === Number.POSITIVE_INFINITY) {
      let part = once;
      let tail = once;
      for (let copy = 1; copy < min && this.problem === undefined; copy++) {
        tail = this.build(item);
        part = this.#join(part, tail);
      }
      this.link(tail.last, tail.first);
      return min === 0 ? { ...part, nullable: true } : part;
    }
    let part: Part = EMPTY;
    for (let copy = max; copy > 0 && this.problem === undefined; copy--) {
      part = this.#join(copy === max ? once : this.build(item), part);
      if (copy > min) part = { ...part, nullable: true };
    }
    return part;
  }
}

/** Two ways out of `state` that the same character can take. */
function judge(state: number, one: number, other: number, loops: Loops): string | undefined {
  const home = loops.isLoop[state] === true ? loops.component[state] : -1;
  const oneStays = loops.component[one] === home;
  const otherStays = loops.component[other] === home;
  if (oneStays && otherStays) {
    return 'a repetition can match the same text in several ways, which takes exponential time';
  }
  if (oneStays === otherStays || !loops.reachesLoop[oneStays ? other : one]) return undefined;
  return 'two repetitions can share the same text, which takes quadratic time';
}

interface Loops {
  /** States of each strongly connected component; a component only leads to ones before it. */
  readonly members: readonly (readonly number[])[];
  /** Strongly connected component of each state. */
  readonly component: readonly number[];
  /** Can the state be reached from itself? */
  readonly isLoop: readonly boolean[];
  /** Is a loop reachable from the state, itself included? */
  readonly reachesLoop: readonly boolean[];
}

/** Tarjan's algorithm; components are finished in reverse order, so what a state reaches is known when it is done. */
function findLoops(follow: readonly (readonly number[])[]): Loops {
  const count = follow.length;
  const order = new Array<number>(count).fill(-1);
  const low = new Array<number>(count).fill(0);
  const component = new Array<number>(count).fill(-1);
  const isLoop = new Array<boolean>(count).fill(false);
  const reachesLoop = new Array<boolean>(count).fill(false);
  const stack: number[] = [];
  let visited = 0;
  const components: number[][] = [];

  const visit = (state: number): void => {
    order[state] = low[state] = visited++;
    stack.push(state);
    for (const next of follow[state]!) {
      if (order[next] === -1) visit(next);
      if (component[next] === -1) low[state] = Math.min(low[state]!, low[next]!);
    }
    if (low[state] !== order[state]) return;
    const members = stack.splice(stack.indexOf(state));
    for (const member of members) component[member] = components.length;
    const loop = members.length > 1 || follow[state]!.includes(state);
    const reaches = loop || members.some((member) => follow[member]!.some((next) => reachesLoop[next] === true));
    for (const member of members) {
      isLoop[member] = loop;
      reachesLoop[member] = reaches;
    }
    components.push(members);
  };
  visit(0);
  return { members: components, component, isLoop, reachesLoop };
}
