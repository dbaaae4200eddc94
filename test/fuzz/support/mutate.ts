/**
 * Damages a message the way attackers and broken senders do: a byte changed, CR or LF dropped or doubled, a length or a
 * chunk size moved by a little, a line said twice, two messages cut and joined. Text is Latin-1, a character a byte.
 */
import type { Random } from './random.ts';

/** What has made parsers disagree before. */
const TRICKS: readonly string[] = [
  '\r', '\n', '\r\n', '\r\n\r\n', '\n\n', '\0', '\t', '\x0b', '\x0c', ' ', '\x7f', '\x80', '\xa0', '\xff', ':', ' :', ';', ',', '"', '\\', '0', '00', '+', '-', '_',
  '0x', 'a', ';a', ';a=b', ';a="b"', ';a="\\"', '#', '?', '%', '%2f', '%2e', '%00', '/../', '//', '\\', '@', '[', ']', '[::1]',
  'HTTP/1.0', 'HTTP/1.1', ' HTTP/1.1', 'GET / HTTP/1.1\r\nHost: b\r\n\r\n', '0\r\n\r\n',
  'Content-Length: 0\r\n', 'Content-Length: 5\r\n', 'Content-Length: 1, 1\r\n', 'Content_Length: 3\r\n', 'Content-Length : 3\r\n',
  'Transfer-Encoding: chunked\r\n', 'Transfer-Encoding: identity\r\n', 'Transfer-Encoding:\tchunked\r\n', 'Transfer-Encoding: chunked \r\n',
  'Transfer-Encoding: \x0bchunked\r\n', 'Transfer_Encoding: chunked\r\n', 'Transfer-Encoding: chunked, chunked\r\n',
  'Host: b\r\n', 'Connection: close\r\n', 'Connection: keep-alive\r\n', 'Connection: content-length, x\r\n', 'Expect: 100-continue\r\n',
  ' folded: yes\r\n', '\tfolded\r\n', 'X: \r\n', 'X:y\r\n',
]; // biome-ignore format: one long list

type Mutation = (text: string, random: Random, other: string) => string;

const splice = (text: string, at: number, remove: number, insert: string): string =>
  text.slice(0, at) + insert + text.slice(at + remove);

const flipByte: Mutation = (text, random) => {
  if (text === '') return text;
  const at = random.below(text.length);
  return splice(text, at, 1, String.fromCharCode(text.charCodeAt(at) ^ (1 << random.below(8))));
};

const setByte: Mutation = (text, random) =>
  text === '' ? text : splice(text, random.below(text.length), 1, String.fromCharCode(random.below(256)));

const insertTrick: Mutation = (text, random) => splice(text, random.below(text.length + 1), 0, random.oneOf(TRICKS));

const replaceByTrick: Mutation = (text, random) =>
  splice(text, random.below(text.length + 1), random.below(4), random.oneOf(TRICKS));

const remove: Mutation = (text, random) =>
  splice(text, random.below(text.length + 1), 1 + (random.below(4) === 0 ? random.below(16) : 0), '');

const repeat: Mutation = (text, random) => {
  const at = random.below(text.length + 1);
  return splice(text, at, 0, text.slice(at, at + 1 + random.below(24)));
};

const endLine: Mutation = (text, random) => {
  const ends = [...text.matchAll(/\r\n/g)].map((match) => match.index);
  if (ends.length === 0) return text;
  return splice(
    text,
    random.oneOf(ends),
    2,
    random.oneOf(['\n', '\r', '\r\r\n', '\r\n\r\n', '\n\r', '', ' \r\n', '\r\n ']),
  );
};

const repeatLine: Mutation = (text, random) => {
  const lines = text.split('\r\n');
  const line = random.below(lines.length);
  lines.splice(random.below(lines.length), 0, lines[line]!);
  return lines.join('\r\n');
};

const insertLine: Mutation = (text, random) => {
  const ends = [...text.matchAll(/\r\n/g)].map((match) => match.index + 2);
  if (ends.length === 0) return text;
  return splice(text, random.oneOf(ends), 0, random.oneOf(TRICKS.filter((trick) => trick.endsWith('\r\n'))));
};

/** Lengths, chunk sizes, ports, versions: whatever looks like a number changes a little or a lot. */
const changeNumber: Mutation = (text, random) => {
  const numbers = [...text.matchAll(/[0-9a-fA-F]*[0-9][0-9a-fA-F]*/g)];
  if (numbers.length === 0) return text;
  const number = random.oneOf(numbers);
  const value = Number.parseInt(number[0], 16);
  const changed = random.oneOf([
    `${value + 1}`, (value + 1).toString(16), (value + 16).toString(16), `${Math.max(0, value - 1)}`, '0', '00', `0${number[0]}`, `${number[0]}0`,
    `${number[0]},${number[0]}`, `-${number[0]}`, `+${number[0]}`, '4294967296', '18446744073709551616', 'ffffffffffffffff', `${number[0]} `, '', 'x',
  ]); // biome-ignore format: one long list
  return splice(text, number.index, number[0].length, changed);
};

const changeCase: Mutation = (text, random) => {
  const letters = [...text.matchAll(/[A-Za-z]+/g)];
  if (letters.length === 0) return text;
  const word = random.oneOf(letters);
  const other = word[0] === word[0].toLowerCase() ? word[0].toUpperCase() : word[0].toLowerCase();
  return splice(text, word.index, word[0].length, other);
};

const cutOff: Mutation = (text, random) => text.slice(0, random.below(text.length + 1));

const join: Mutation = (text, random, other) =>
  text.slice(0, random.below(text.length + 1)) + other.slice(random.below(other.length + 1));

const MUTATIONS: readonly Mutation[] = [
  flipByte, setByte, insertTrick, replaceByTrick, remove, repeat, endLine, endLine, repeatLine, insertLine, insertLine, changeNumber, changeNumber,
  changeCase, cutOff, join,
]; // biome-ignore format: one long list

/** One to four mutations, mostly one: most of the message stays plausible, which is where parsers disagree. */
export function mutate(text: string, random: Random, other: string): string {
  let mutated = text;
  const times = 1 + (random.below(3) === 0 ? random.below(4) : 0);
  for (let i = 0; i < times; i++) mutated = random.oneOf(MUTATIONS)(mutated, random, other);
  return mutated;
}
