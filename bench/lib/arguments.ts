/**
 * The arguments of a benchmark: `--help` prints what stands at the head of its file and its options, and what is wrong
 * ends it with one line and exit code 2, before anything is started.
 */
import { readFileSync } from 'node:fs';
import { basename, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';

const BENCH = fileURLToPath(new URL('..', import.meta.url));

/** An option of `parseArgs`; where it has `choices` its values are among them. */
type Options = Readonly<Record<string, ParseArgsOptionsConfig[string] & { readonly choices?: readonly string[] }>>;
type Values<T extends Options> = ReturnType<typeof parseArgs<{ options: T }>>['values'];

/**
 * `file` is the program itself (`import.meta.filename`). An option whose default is a number takes numbers from 0, with
 * commas between several where the default has some, and for `cores`.
 */
export function readArguments<const T extends Options>(file: string, options: T): Values<T> {
  return read(file, options, false).values;
}

/** The same for a program that takes names as well. */
export function readNamesAndArguments<const T extends Options>(
  file: string,
  options: T,
): { readonly values: Values<T>; readonly names: readonly string[] } {
  return read(file, options, true);
}

function read<const T extends Options>(
  file: string,
  options: T,
  allowPositionals: boolean,
): { readonly values: Values<T>; readonly names: readonly string[] } {
  endWithHelp(file, options);
  try {
    const { values, positionals: names } = parseArgs({ options, strict: true, allowPositionals });
    for (const [name, { default: byDefault, choices }] of Object.entries(options)) {
      const given = (values as Readonly<Record<string, unknown>>)[name];
      if (choices !== undefined) checkChoices(name, given, choices);
      if (typeof byDefault !== 'string' || typeof given !== 'string' || !/^[\d,]+$/.test(byDefault)) continue;
      checkNumbers(name, given, byDefault.includes(',') || name === 'cores');
    }
    return { values, names };
  } catch (error) {
    return refuse(file, error);
  }
}

/** The one argument of a program that takes a number above 0 and nothing else. */
export function readNumber(file: string, name: string, byDefault: number): number {
  endWithHelp(file, {});
  const [given, ...rest] = process.argv.slice(2);
  if (given === undefined) return byDefault;
  if (rest.length === 0 && /^\d+(?:\.\d+)?$/.test(given) && Number(given) > 0) return Number(given);
  return refuse(file, new TypeError(`'${process.argv.slice(2).join(' ')}' is not a number of ${name}`));
}

/** Ends the program where its user asked what it does. */
function endWithHelp(file: string, options: Options): void {
  if (!process.argv.slice(2).some((each) => each === '--help' || each === '-h')) return;
  process.stdout.write(usageOf(file, options));
  process.exit(0);
}

function usageOf(file: string, options: Options): string {
  const head = /\/\*\*\n([\s\S]*?)\n \*\//.exec(readFileSync(file, 'utf8'))?.[1] ?? '';
  const lines = Object.entries(options).map(([name, { type, default: byDefault, choices }]) => {
    if (type === 'boolean') return `  --${name}\n`;
    const value = choices === undefined ? 'VALUE' : choices.join(' | ');
    return `  --${name} ${value}${byDefault === undefined ? '' : ` (default ${byDefault})`}\n`;
  });
  const listed = lines.length === 0 ? '' : `\n${lines.join('')}`;
  return `npx node bench/${relative(BENCH, file)}${lines.length === 0 ? '' : ' [options]'}\n\n${head.replaceAll(/^ \* ?/gm, '')}\n${listed}`;
}

function checkChoices(name: string, given: unknown, choices: readonly string[]): void {
  for (const each of [given ?? []].flat())
    if (!choices.includes(each as string)) throw new TypeError(`--${name}: '${each}' is none of ${choices.join(', ')}`);
}

function checkNumbers(name: string, text: string, isList: boolean): void {
  const parts = isList ? text.split(',') : [text];
  if (parts.every((each) => /^\d+(?:\.\d+)?$/.test(each))) return;
  throw new TypeError(`--${name}: '${text}' is not ${isList ? 'a list of numbers' : 'a number'}`);
}

function refuse(file: string, error: unknown): never {
  if (!(error instanceof TypeError)) throw error;
  const [message] = error.message.split('. To specify');
  process.stderr.write(`${basename(file)}: ${message}; --help shows what there is\n`);
  process.exit(2);
}
