/**
 * What all parts of the compiler share: the problems found so far, the secrets put aside, the files read. One lives for
 * one compilation.
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { readFailure } from '../../../base/read-failure.ts';
import type { KeyPath, OptionContext, ProblemDetail } from '../../../data/contract/options.ts';
import type { CertificateEnd } from '../../certificates/ends.ts';
import type { LoadedConfig } from '../loaded-config.ts';
import type { Problem } from '../problems.ts';
import { formatKey } from '../problems.ts';
import { pathId } from '../source.ts';

export class Compilation {
  readonly config: LoadedConfig;
  readonly problems: Problem[] = [];
  readonly secrets: Record<string, string> = {};
  readonly files = new Set<string>();
  readonly certificates: CertificateEnd[] = [];

  constructor(config: LoadedConfig) {
    this.config = config;
  }

  problem(path: KeyPath, message: string, detail: ProblemDetail = {}): void {
    this.#add('error', path, message, detail);
  }

  warning(path: KeyPath, message: string, detail: ProblemDetail = {}): void {
    this.#add('warning', path, message, detail);
  }

  #add(severity: Problem['severity'], path: KeyPath, message: string, detail: ProblemDetail): void {
    const at = [...path, ...(detail.at ?? [])];
    const { got, expected, suggestion } = detail;
    const origin = this.config.source.environmentValues.get(pathId(at));
    const shown =
      got === undefined || origin === undefined || origin.isDeclared
        ? got
        : `the value of ${origin.variables.join(' and ')}`;
    this.problems.push({
      severity,
      // A mapping is best known by its key: its content starts somewhere below.
      ...this.config.source.place(at, this.#isMapping(at) ? 'key' : 'value'),
      key: formatKey(at),
      message,
      ...(shown === undefined ? {} : { got: shown }),
      ...(expected === undefined ? {} : { expected }),
      ...(suggestion === undefined ? {} : { suggestion }),
    });
  }

  resolve(file: string): string {
    return resolve(this.config.baseDir, file);
  }

  /** The text of a file that the document names; one that cannot be read is reported. */
  readText(path: KeyPath, file: string, detail: ProblemDetail = {}): string | undefined {
    return this.readBytes(path, file, detail)?.toString('utf8');
  }

  /** The same for a file that is no text. */
  readBytes(path: KeyPath, file: string, detail: ProblemDetail = {}): Buffer | undefined {
    const absolute = this.resolve(file);
    this.files.add(absolute);
    try {
      return readFileSync(absolute);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // A path that stands in another file than people think is the usual reason.
      const looked = code === 'ENOENT' && absolute !== file ? { expected: `a file at ${absolute}` } : {};
      this.problem(path, `the file cannot be read: ${readFailure(error)}`, {
        got: JSON.stringify(file),
        ...looked,
        ...detail,
      });
      return undefined;
    }
  }

  secret(id: string, text: string): string {
    this.secrets[id] = text;
    return id;
  }

  /** The same, as the definitions of policies, sections and algorithms see it. */
  options(path: KeyPath, owner: string): OptionContext {
    return {
      path,
      env: this.config.env,
      document: this.config.document as unknown as Readonly<Record<string, unknown>>,
      resolve: (file) => this.resolve(file),
      readText: (file, detail = {}) => this.readText(path, file, detail),
      secret: (id, text) => this.secret(`${owner}/${id}`, text),
      shared: (id, text) => void this.secret(id, text),
      problem: (message, detail) => this.problem(path, message, detail),
      warning: (message, detail) => this.warning(path, message, detail),
    };
  }

  /** True when the document, as it was written, has the key. */
  has(path: KeyPath): boolean {
    return this.#written(path) !== undefined;
  }

  #isMapping(path: KeyPath): boolean {
    const value = this.#written(path);
    return typeof value === 'object' && value !== null;
  }

  #written(path: KeyPath): unknown {
    let value: unknown = this.config.source.value;
    for (const part of path) {
      if (typeof value !== 'object' || value === null) return undefined;
      value = (value as Record<string | number, unknown>)[part];
    }
    return value;
  }
}
