/**
 * Loads a module of the user's by the version of its files. Node keeps a module by its URL for good; so the version is
 * a part of the URL, of the module and of what it imports by relative paths, and a changed file is a new module. What
 * it imports as `gatehouse/policy` is the running gateway's own, wherever the file lies. The texts are those that the
 * configuration was checked with, whatever the files hold by now.
 */
import { type LoadFnOutput, registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';
import { hookUserModules } from '../../base/own-modules.ts';
import { PolicyError } from './definition.ts';
import { Intrinsics, type Restored, UNCHANGED } from './intrinsics.ts';

const PARAMETER = 'gatehouse-version';

let hooked = false;
let intrinsics: Intrinsics | null = null;
let isSpoiled = false;
/** Modules loaded in this thread, old versions included: none of them is ever freed. */
const loaded = new Set<string>();

export function loadedModules(): number {
  return loaded.size;
}

/** Of the files of modules, by their URL with its version. */
const texts = new Map<string, string>();

/**
 * Rejects with what is wrong with the module: it does not exist, does not parse, throws. `known`: the texts of its
 * files (module-files.ts); without them they are read now.
 */
export async function loadModule(
  file: string,
  version: string,
  known?: string,
): Promise<Readonly<Record<string, unknown>>> {
  if (!hooked) hook();
  hooked = true;
  const url = versioned(pathToFileURL(file), version);
  for (const [path, text] of Object.entries(known === undefined ? {} : (JSON.parse(known) as Record<string, string>)))
    texts.set(versioned(pathToFileURL(path), version).href, text);
  loaded.add(url.href);
  intrinsics ??= new Intrinsics();
  try {
    return (await import(url.href)) as Record<string, unknown>;
  } finally {
    refuseChangedGlobals();
  }
}

/** Puts back what all code shares, and throws when there was something to put back. */
export function refuseChangedGlobals(): void {
  const { changed } = restoreGlobals();
  if (changed.length > 0)
    throw new PolicyError(`it changes ${changed.slice(0, 5).join(', ')}, which all code of the gateway shares`);
}

/** Puts back what all code shares, and says what was changed. */
export function restoreGlobals(): Restored {
  const restored = intrinsics?.restore() ?? UNCHANGED;
  if (!restored.isWhole) isSpoiled = true;
  return restored;
}

/** Something that all code shares was changed for good: this thread cannot go on. */
export function areGlobalsSpoiled(): boolean {
  return isSpoiled;
}

function hook(): void {
  hookUserModules();
  registerHooks({
    resolve(specifier, context, next) {
      const { parentURL } = context;
      if (parentURL === undefined || !parentURL.includes(`?${PARAMETER}=`)) return next(specifier, context);
      const found = next(specifier, context);
      if (!/^\.{1,2}\//.test(specifier) || !found.url.startsWith('file:')) return found;
      const version = new URL(parentURL).searchParams.get(PARAMETER) ?? '';
      return { ...found, url: versioned(new URL(found.url), version).href };
    },
    load(url, context, next) {
      const text = texts.get(url);
      if (text === undefined) return next(url, context);
      texts.delete(url);
      const format = formatOf(url);
      if (format !== null) return { format, source: text, shortCircuit: true };
      const found = next(url, context);
      return found.format === 'module' ? { ...found, source: text } : found;
    },
  });
}

function versioned(url: URL, version: string): URL {
  url.searchParams.set(PARAMETER, version);
  return url;
}

/** Null: it depends on the package, or on the text. */
function formatOf(url: string): LoadFnOutput['format'] | null {
  const { pathname } = new URL(url);
  if (/\.m?ts$/.test(pathname)) return 'module-typescript';
  return pathname.endsWith('.mjs') ? 'module' : null;
}
