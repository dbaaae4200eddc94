/** Of a set of source texts: what their names say that nobody uses (check-unused.ts). */

export interface UnusedOptions {
  /** Its exports and members are judged; every text counts as a user. */
  readonly isJudged: (file: string) => boolean;
  /** Its exports are for others: what a package exports. */
  readonly isDoor: (file: string) => boolean;
  /** Members that somebody calls who is not among the texts. */
  readonly called: readonly string[];
}

const NAME = /[A-Za-z_$][\w$]*/g;
const COMMENT = /(?<=^|\s)\/\*[\s\S]*?\*\/|(^|\s)\/\/.*$/gm;
const EXPORT =
  /^export (?:declare )?(?:abstract )?(async function\*?|function\*?|const|let|class|interface|type) (\w+)/gm;
const PACKAGE_IMPORT = /^import (?:type )?\{([^}]*)\} from '[^.]/gm;
/** A class or interface: its header, what is in it. */
const BODY = /^(?:export )?(?:abstract )?(?:class|interface) ([^{]*)\{\n([\s\S]*?)^\}/gm;
const MEMBER = /^ {2}(?:readonly |static |override |async |get |set |protected |private )*(\w+)\??(?:\(|<|:| =|;)/gm;

/** A line for each. */
export function unusedNames(sources: ReadonlyMap<string, string>, options: UnusedOptions): string[] {
  const texts = new Map([...sources].map(([file, text]) => [file, text.replace(COMMENT, '$1')]));
  const inFile = new Map([...texts].map(([file, text]) => [file, countNames(text)]));
  const total = new Map<string, number>();
  for (const counts of inFile.values())
    for (const [name, count] of counts) total.set(name, (total.get(name) ?? 0) + count);

  const found: string[] = [];
  for (const [file, text] of texts) {
    if (!options.isJudged(file)) continue;
    if (!options.isDoor(file)) found.push(...unusedExports(file, text, inFile.get(file)!, total));
    for (const name of members(text))
      if (total.get(name) === 1 && !options.called.includes(name))
        found.push(`${file}: nothing but its declaration names the member ${name}`);
  }
  return found.sort();
}

function countNames(text: string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const [name] of text.matchAll(NAME)) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

/** A type that only its own file names may be part of what the file exports: it counts as used. */
function* unusedExports(
  file: string,
  text: string,
  here: ReadonlyMap<string, number>,
  total: ReadonlyMap<string, number>,
): Generator<string> {
  for (const [, kind, name = ''] of text.matchAll(EXPORT)) {
    if (total.get(name) !== here.get(name)) continue;
    if (here.get(name) === 1) yield `${file}: ${name} is exported and used nowhere`;
    else if (kind !== 'interface' && kind !== 'type') yield `${file}: ${name} is exported and used in this file only`;
  }
}

/** Not of a class for an interface of a package: that calls them. */
function* members(text: string): Generator<string> {
  const foreign = new Set([...text.matchAll(PACKAGE_IMPORT)].flatMap(([, names = '']) => names.match(NAME) ?? []));
  for (const [, header = '', body = ''] of text.matchAll(BODY)) {
    if (header.match(NAME)?.some((name) => foreign.has(name)) === true) continue;
    for (const [, name = ''] of body.matchAll(MEMBER)) if (name !== 'constructor') yield name;
  }
}
