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
      else if (shell === 'zsh') out(`autoload -U +X bashcompinit && bashcompinit\n${bash(all)}`);
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

function bash(commands: readonly Command[]): string {
  const cases = commands.map((command) => {
    const subcommands = subcommandsOf(command).join(' ');
    const first = subcommands === '' ? '' : ` first="${subcommands}"`;
    return `    ${command.name}) words="${flagsOf(command).join(' ')}"${first} ;;`;
  });
  return `_gatehouse() {
  local current="\${COMP_WORDS[COMP_CWORD]}" words="" first="" file
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${commands.map(({ name }) => name).join(' ')} --help --version" -- "$current"))
    return
  fi
  case "\${COMP_WORDS[1]}" in
${cases.join('\n')}
  esac
  case "$current" in
    -*) COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
    *)
      if [ "$COMP_CWORD" -eq 2 ] && [ -n "$first" ]; then COMPREPLY=($(compgen -W "$first" -- "$current"))
      else while IFS= read -r file; do COMPREPLY+=("$file"); done < <(compgen -f -- "$current"); fi ;;
  esac
}
complete -o filenames -F _gatehouse gatehouse
`;
}

function fish(commands: readonly Command[]): string {
  const quoted = (text: string): string => `'${text.replaceAll("'", "\\'")}'`;
  return commands
    .flatMap((command) => [
      `complete -c gatehouse -n __fish_use_subcommand -f -a ${command.name} -d ${quoted(command.summary)}`,
      ...subcommandsOf(command).map(
        (name) =>
          `complete -c gatehouse -n '__fish_seen_subcommand_from ${command.name}; and test (count (commandline -opc)) -eq 2' -f -a ${name}`,
      ),
      ...Object.entries(optionsOf(command)).map(
        ([name, { meaning, value }]) =>
          `complete -c gatehouse -n '__fish_seen_subcommand_from ${command.name}' -l ${name} -d ${quoted(meaning)}${value === undefined ? '' : ' -r'}`,
      ),
    ])
    .join('\n')
    .concat('\n');
}
