/**
 * Which names `tls: auto` needs certificates for, and where each one is kept. Read by the section `acme`, which orders
 * them, and by compile/listeners.ts, which gives them to the workers.
 */
import { hash } from 'node:crypto';
import { join } from 'node:path';

/** The parts of the checked document that decide. */
export interface NamingDocument {
  readonly gateway: { readonly listeners?: readonly { readonly tls?: ListenerTlsWish | undefined }[] | undefined };
  readonly routes: readonly { readonly match: { readonly hosts?: readonly string[] | undefined } }[];
}

/** `auto` of a listener: `true` means the hosts of the routes. */
export interface ListenerTlsWish {
  readonly auto?: boolean | readonly string[] | undefined;
  readonly certificates?: readonly { readonly names?: readonly string[] | undefined }[] | undefined;
}

/** Names that `auto` of one listener stands for; those that a listed certificate names are left out. */
export function namesOf(document: NamingDocument, tls: ListenerTlsWish): string[] {
  if (tls.auto === undefined || tls.auto === false) return [];
  const wanted = tls.auto === true ? document.routes.flatMap(({ match }) => match.hosts ?? []) : tls.auto;
  const listed = new Set((tls.certificates ?? []).flatMap(({ names }) => names ?? []));
  return [...new Set(wanted)].filter((name) => !listed.has(name)).sort();
}

/** Of all listeners. */
export function allNames(document: NamingDocument): string[] {
  const names = (document.gateway.listeners ?? []).flatMap(({ tls }) =>
    tls === undefined ? [] : namesOf(document, tls),
  );
  return [...new Set(names)].sort();
}

export function usesAuto(document: NamingDocument): boolean {
  return (document.gateway.listeners ?? []).some(({ tls }) => tls?.auto !== undefined && tls.auto !== false);
}

/** Short name of an authority: what a staging one issued is never served in production. */
export function authorityId(directory: string): string {
  return hash('sha256', directory, 'hex').slice(0, 12);
}

/** Folder of everything that came from one authority. */
export function certificateFolder(dataDir: string, directory: string): string {
  return join(dataDir, 'certificates', authorityId(directory));
}

/** `*` is no part of a file's name. */
export function fileOf(folder: string, name: string): string {
  return join(folder, `${name.replace('*', '_wildcard')}.pem`);
}
