/**
 * The other files of an nginx configuration: those that `include` names, from the output of `nginx -T` or from the
 * disk, and where certificates lie. Relative names are below the folder of nginx.conf, also in included files.
 */
import { globSync, readFileSync } from 'node:fs';
import { dirname, isAbsolute, matchesGlob, posix, relative, resolve, sep } from 'node:path';
import { messageOf } from '../../base/errors.ts';
import { type Directive, parseNginx } from './nginx-parser.ts';

export interface Folders {
  /** Of the file that is imported. */
  readonly source: string;
  /** Of the configuration that is written. */
  readonly out: string;
}

interface Part {
  readonly text: string;
  /** Where its first line is in the source; null: in another file. */
  readonly line: number | null;
  readonly path: string;
}

const MARK = /^# configuration file (\/.+):$/;
/** As Debian's package of nginx has it. */
const PROXY_PARAMS = [
  'proxy_set_header Host $http_host;',
  'proxy_set_header X-Real-IP $remote_addr;',
  'proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;',
  'proxy_set_header X-Forwarded-Proto $scheme;',
].join(' ');
/** Of all files together. */
const MOST_DIRECTIVES = 1_000_000;

export class NginxFiles {
  readonly #folders: Folders;
  /** By absolute path, of the output of `nginx -T`; null: the source is nginx.conf itself. */
  readonly #printed: ReadonlyMap<string, Part> | null;
  readonly #main: Part;
  /** Where nginx runs. */
  readonly #folder: string;

  constructor(text: string, folders: Folders) {
    this.#folders = folders;
    const printed = partsOf(text);
    const [first] = printed;
    this.#printed = first === undefined ? null : printed;
    this.#main = first?.[1] ?? { text, line: 1, path: '' };
    this.#folder = first === undefined ? folders.source : posix.dirname(first[0]);
  }

  /** All directives, with those of included files in place. What is not found stays as `include`. */
  directives(): Directive[] {
    return this.#expand(parseNginx(this.#main.text, this.#main.line ?? 1), null, [this.#main.path]);
  }

  /** A file as the written configuration names it. */
  place(file: string): string {
    if (isAbsolute(file)) return file;
    if (this.#printed !== null) return posix.join(this.#folder, file);
    return relative(this.#folders.out, resolve(this.#folder, file)).replaceAll(sep, '/');
  }

  #count = 0;

  /** `line`: of the directive of the source that led to another file; null: they are of the source. */
  #expand(directives: readonly Directive[], line: number | null, within: readonly string[]): Directive[] {
    this.#count += directives.length;
    if (this.#count > MOST_DIRECTIVES)
      throw new SyntaxError(`with all included files there are more than ${MOST_DIRECTIVES} directives`);
    return directives.flatMap((directive) => {
      const { name, args, block } = directive;
      const placed = line === null ? directive : { ...directive, line };
      if (block !== null) return [{ ...placed, block: this.#expand(block, line, within) }];
      if (name !== 'include' || args[0] === undefined) return [placed];
      const parts = this.#included(args[0]);
      if (parts === null && /(?:^|\/)proxy_params$/.test(args[0])) return parseNginx(PROXY_PARAMS, placed.line);
      if (parts === null) return [placed];
      return parts.flatMap((part) => {
        if (within.includes(part.path))
          throw new SyntaxError(`line ${placed.line}: include ${args[0]}: ${part.path} includes itself`);
        return this.#expand(this.#parse(part), part.line === null ? placed.line : line, [...within, part.path]);
      });
    });
  }

  #parse(part: Part): Directive[] {
    if (part.line !== null) return parseNginx(part.text, part.line);
    try {
      return parseNginx(part.text);
    } catch (error) {
      throw new SyntaxError(`${part.path}: ${messageOf(error)}`);
    }
  }

  /** Null: not here, and perhaps where nginx runs. */
  #included(written: string): readonly Part[] | null {
    const isPattern = /[*?[]/.test(written);
    if (this.#printed !== null) {
      const pattern = posix.resolve(this.#folder, written);
      const found = [...this.#printed].filter(([path]) => path === pattern || matchesGlob(path, pattern));
      return found.length > 0 || isPattern ? found.map(([, part]) => part) : null;
    }
    const pattern = resolve(this.#folder, written);
    // A folder that is there and has no such file includes nothing; one that is not there says nothing.
    const found = isPattern ? globSync(pattern).sort() : [pattern];
    if (found.length === 0) return globSync(dirname(pattern)).length > 0 ? [] : null;
    try {
      return found.map((path) => ({ text: readFileSync(path, 'utf8'), line: null, path }));
    } catch {
      return null;
    }
  }
}

/** The files in the output of `nginx -T`; none for another text. */
function partsOf(text: string): Map<string, Part> {
  const parts = new Map<string, Part>();
  let path: string | null = null;
  let lines: string[] = [];
  let begun = 1;
  const end = (): void => {
    if (path !== null && !parts.has(path)) parts.set(path, { text: lines.join('\n'), line: begun, path });
  };
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const next = MARK.exec(line)?.[1];
    if (next === undefined) {
      lines.push(line);
      continue;
    }
    end();
    [path, lines, begun] = [next, [], index + 2];
  }
  end();
  return parts;
}
