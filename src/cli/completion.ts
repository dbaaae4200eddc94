/**
 * `gatehouse completion`: a script with which a shell completes commands, options and files. Made from the commands
 * themselves.
 */
import type { Command } from './command.ts';
import { EXIT, optionsOf, UsageError } from './command.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** `commands` is asked late: the list has this command in it. */
export function completionOf(commands: () => readonly Command[]): Command {
  return {
    name: 'completion',
    summary: 'print a script that completes commands in a shell',
    usage: ['bash|zsh|fish'],
    description: `Prints a script for the shell's start-up file:

  eval "$(gatehouse completion bash)"                 in ~/.bashrc
  eval "$(gatehouse completion zsh)"                  in ~/.zshrc
  gatehouse completion fish | source                  in ~/.config/fish/config.fish`,
    options: {},
    arguments: { min: 1, max: 1 },
    async run({ positionals, out }) {
      const [shell = ''] = positionals;
      const all = commands();
      if (shell === 'bash') out(bash(all));
      else if (shell === 'zsh') out(zsh(all));
      else if (shell === 'fish') out(fish(all));
      else throw new UsageError(`there is no script for "${shell}", only for ${SHELLS.join(', ')}`);
      return EXIT.ok;
    },
  };
}

/** What may stand right behind the command, such as `create` or `show|disable`: the first word of its forms. */
function subcommandsOf({ usage }: Command): string[] {
  return usage.flatMap((form) => /^[a-z][a-z-]*(?:\|[a-z][a-z-]*)*(?= |$)/.exec(form)?.[0].split('|') ?? []);
}

function flagsOf(command: Command): string[] {
  return [...Object.keys(optionsOf(command)), 'help'].map((name) => `--${name}`);
}

/** What does not stand behind a command. */
const ALONE = ['help', '--help', '--version'] as const;

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** Files are left to readline, which knows of quotes, spaces and `~`; names of files are offered nowhere else. */
function bash(commands: readonly Command[]): string {
  const names = commands.map(({ name }) => name).join(' ');
  const cases = commands.map((command) => {
    const subcommands = subcommandsOf(command).join(' ');
    const first = subcommands === '' ? '' : ` first="${subcommands}"`;
    return `    ${command.name}) words="${flagsOf(command).join(' ')}"${first} ;;`;
  });
  return `_gatehouse() {
  local current="\${COMP_WORDS[COMP_CWORD]}" words="" first=""
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then first="${names} ${ALONE.join(' ')}"
  else
    case "\${COMP_WORDS[1]}" in
    help) first="${names}" ;;
${cases.join('\n')}
    esac
    if [ "$COMP_CWORD" -gt 2 ]; then first=""; fi
    case "$current" in -*) first="$words" ;; esac
  fi
  if [ -n "$first" ]; then
    compopt +o default 2>/dev/null
    COMPREPLY=($(compgen -W "$first" -- "$current"))
  fi
}
complete -o default -F _gatehouse gatehouse
`;
}

function zsh(commands: readonly Command[]): string {
  const described = (words: readonly (readonly [name: string, meaning: string])[]): string =>
    words.map(([name, meaning]) => quoted(`${name}:${meaning}`)).join(' ');
  const cases = commands.map((command) => {
    const options = [
      ...Object.entries(optionsOf(command)).map(([name, { meaning }]) => [`--${name}`, meaning] as const),
      ['--help', 'show what it does'] as const,
    ];
    return `    ${command.name}) options=(${described(options)}) first=(${subcommandsOf(command).join(' ')}) ;;`;
  });
  return `_gatehouse() {
  local -a commands options first
  commands=(${described(commands.map(({ name, summary }) => [name, summary]))})
  if (( CURRENT == 2 )); then
    commands+=(${ALONE.join(' ')})
    _describe command commands
    return
  fi
  case $words[2] in
    help) (( CURRENT == 3 )) && _describe command commands; return ;;
${cases.join('\n')}
  esac
  if [[ $PREFIX == --*=* ]]; then compset -P '*='; _files
  elif [[ $PREFIX == -* ]]; then _describe -o option options
  elif (( CURRENT == 3 && $#first )); then compadd -a first
  else _files
  fi
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }
compdef _gatehouse gatehouse
`;
}

function fish(commands: readonly Command[]): string {
  const named = (text: string): string => `'${text.replaceAll(/[\\']/g, '\\$&')}'`;
  const line = (condition: string, rest: string): string => `complete -c gatehouse -n ${named(condition)} ${rest}`;
  return [
    // By its place, and not by its name: a file, or an argument, may be named as a command is.
    `function __gatehouse_of
  set -l words (commandline -opc)
  test (count $words) -gt 1; and test $words[2] = $argv[1]; or return 1
  test (count $argv) -eq 1; or test (count $words) -eq $argv[2]
end`,
    ...ALONE.map((name) => line('test (count (commandline -opc)) -eq 1', `-f -a ${name}`)),
    ...commands.flatMap((command) => [
      line('test (count (commandline -opc)) -eq 1', `-f -a ${command.name} -d ${named(command.summary)}`),
      line('__gatehouse_of help 2', `-f -a ${command.name} -d ${named(command.summary)}`),
      line(`__gatehouse_of ${command.name}`, `-l help -d 'show what it does'`),
      ...subcommandsOf(command).map((name) => line(`__gatehouse_of ${command.name} 2`, `-f -a ${name}`)),
      ...Object.entries(optionsOf(command)).map(([name, { meaning, value }]) =>
        line(
          `__gatehouse_of ${command.name}`,
          `-l ${name} -d ${named(meaning)}${value === undefined ? '' : value === 'FILE' ? ' -r -F' : ' -r'}`,
        ),
      ),
    ]),
  ]
    .join('\n')
    .concat('\n');
}
