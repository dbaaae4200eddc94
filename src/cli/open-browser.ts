/** Shows a page in the browser of who sits at this machine, where there is one. */
import { spawn } from 'node:child_process';

type Environment = Readonly<Record<string, string | undefined>>;

/** The program and its first arguments; null where no page can be shown. `BROWSER=none` says so, too. */
export function browserCommand(env: Environment, platform: string = process.platform): readonly string[] | null {
  const { BROWSER: named, DISPLAY: x11, WAYLAND_DISPLAY: wayland } = env;
  if (named !== undefined && named !== '') return named === 'none' ? null : [named];
  if (platform === 'darwin') return ['open'];
  if (platform === 'win32') return ['cmd', '/c', 'start', ''];
  return (x11 ?? '') === '' && (wayland ?? '') === '' ? null : ['xdg-open'];
}

export function openBrowser(url: string, env: Environment): void {
  const [program, ...first] = browserCommand(env) ?? [];
  if (program === undefined) return;
  const child = spawn(program, [...first, url], { stdio: 'ignore', detached: true, env: { ...env } });
  // The address is printed as well.
  child.on('error', () => {});
  child.unref();
}
