/**
 * What is to be loaded and compiled, and what came of it: plain data, since another thread may do it (build-aside.ts).
 * The checked document itself stays there; the main thread keeps what it compiled to, and the document as JSON for
 * those who show it.
 */
import { type MoreInstances, NO_MORE_INSTANCES } from './compile/instances.ts';
import type { Compiled } from './compile.ts';
import type { LoadOptions } from './load.ts';
import type { Problem } from './problems.ts';
import type { ServiceOptions } from './schema/service.ts';
import type { SlotTableState } from './slots.ts';

/** A document of the cluster in place of most of the node's own (load-order.ts). */
export interface Overlay {
  readonly text: string;
  /** For messages, such as `version 7`. */
  readonly name: string;
}

export interface LoadOrder {
  readonly options: LoadOptions;
  /** A text in place of what is there now. */
  readonly text: string | null;
  /** What a program gave when it was loaded: its text cannot be compiled again. */
  readonly given: Given | null;
  readonly overlay: Overlay | null;
}

export interface Given {
  readonly value: unknown;
  readonly text: string;
  readonly files: readonly string[];
}

export interface BuildOrder {
  readonly load: LoadOrder;
  /** True while a gateway runs: what it does goes first. */
  readonly isBeside: boolean;
  readonly version: number;
  /** Of the live compilation; null for the first. */
  readonly slots: SlotTableState | null;
  /** Data folder of the process that runs, which another document cannot move. Null: the document's. */
  readonly dataDir: string | null;
  readonly more: MoreInstances;
}

/** Of a start. */
export function firstOrder(load: LoadOrder): BuildOrder {
  return { load, isBeside: false, version: 1, slots: null, dataDir: null, more: NO_MORE_INSTANCES };
}

export function orderOf(options: LoadOptions, text: string | null): LoadOrder {
  return { options, text, given: null, overlay: null };
}

/** What of a service the main thread needs beside its settings. */
export type ServiceOutline = Pick<ServiceOptions, 'instances' | 'protocol'> & { readonly hasTls: boolean };

/** A document that was found right. */
export interface BuiltConfig {
  /** Absolute path of the file; null for a document that was handed in. */
  readonly file: string | null;
  /** What relative paths in the document are relative to. */
  readonly baseDir: string;
  /** Files that a TypeScript or JavaScript configuration imports, absolute: a change of one is a change of it. */
  readonly files: readonly string[];
  /** As it was written, before environment variables were put in. */
  readonly text: string;
  /** The checked document with all defaults. */
  readonly json: string;
  readonly services: Readonly<Record<string, ServiceOutline>>;
  /** Loads the same again, whatever its source holds by then. */
  readonly again: LoadOrder;
}

export interface Built {
  readonly ok: true;
  readonly config: BuiltConfig;
  readonly compiled: Compiled;
}

export type BuildResult = Built | { readonly ok: false; readonly problems: readonly Problem[] };

export type Build = (order: BuildOrder) => Promise<BuildResult>;
