/** What reading a configuration gives: a document that was found right, or its problems. */
import type { Problem } from './problems.ts';
import type { ConfigDocument } from './schema/document.ts';
import type { ConfigSource, Environment } from './source.ts';

/** A document that was found right. */
export interface LoadedConfig {
  readonly document: ConfigDocument;
  readonly source: ConfigSource;
  readonly env: Environment;
  /** Absolute path of the file; null for a document that was handed in. */
  readonly file: string | null;
  /** What relative paths in the document are relative to. */
  readonly baseDir: string;
  /** Warnings only. */
  readonly problems: readonly Problem[];
  /** Files that a TypeScript or JavaScript configuration imports, absolute: a change of one is a change of it. */
  readonly files: readonly string[];
  /** As it was written, before environment variables were put in. */
  readonly text: string;
  /** The node's own document, where one of the cluster lies over it. */
  readonly own?: LoadedConfig;
}
