/** Help texts, made from what the commands say of themselves. */
import type { Command, CommandOption } from './command.ts';
import { optionsOf } from './command.ts';

const WIDTH = 100;

export function overview(commands: readonly Command[], version: string): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  const list = commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`);
  return `gatehouse ${version}, an API gateway

Usage: gatehouse COMMAND [OPTIONS]

Commands:
${list.join('\n')}

  gatehouse COMMAND --help   tells more about a command
  gatehouse --version        prints the version
`;
}

export function commandHelp(command: Command): string {
  const usage = command.usage.map((form) => `gatehouse ${command.name} ${form}`.trimEnd()).join('\n       ');
  return `${command.name}: ${command.summary}

Usage: ${usage}

${wrap(command.description)}

Options:
${optionLines(optionsOf(command)).join('\n')}
`;
}

function optionLines(options: Readonly<Record<string, CommandOption>>): string[] {
  const all = { ...options, help: { type: 'boolean', short: 'h', meaning: 'print this help' } as CommandOption };
  // `-h` may be taken by an option of the command's own.
  if (Object.values(options).some(({ short }) => short === 'h')) delete (all.help as { short?: string }).short;
  const rows = Object.entries(all).map(([name, { short, value, meaning }]): [string, string] => {
    const flag = short === undefined ? `    --${name}` : `-${short}, --${name}`;
    return [value === undefined ? flag : `${flag} ${value}`, meaning];
  });
  const width = Math.max(...rows.map(([flag]) => flag.length));
  return rows.map(([flag, meaning]) => `  ${flag.padEnd(width)}  ${meaning}`);
}

/** Paragraphs stay paragraphs, indented lines stay lines. */
function wrap(text: string): string {
  return text
    .split('\n\n')
    .map((paragraph) => (/^ /m.test(paragraph) ? paragraph : wrapParagraph(paragraph)))
    .join('\n\n');
}

function wrapParagraph(paragraph: string): string {
  const lines: string[] = [];
  let line = '';
  for (const word of paragraph.split(/\s+/)) {
    if (line !== '' && line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].join('\n');
}
