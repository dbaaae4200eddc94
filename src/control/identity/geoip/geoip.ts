/**
 * Where a session came from, in words such as "Berlin, Germany": from a database file in MaxMind's format that the
 * operator brings, or from the field in which a trusted proxy names the country. A help for people who look through
 * their sessions; no decision depends on it. Without either, a session has its address only.
 */
import { readFileSync } from 'node:fs';
import { messageOf } from '../../../base/errors.ts';
import type { Caller } from '../caller.ts';
import type { IdentityOptions } from '../options.ts';

const MAX_LENGTH = 100;

export interface GeoIp {
  /** Null when nothing is known. */
  of(caller: Caller): string | null;
}

/** What is read of an entry; files of other makers may have less or other things. */
interface Entry {
  readonly city?: { readonly names?: { readonly en?: unknown } };
  readonly country?: { readonly names?: { readonly en?: unknown }; readonly iso_code?: unknown };
}

interface Lookup {
  get(address: string): Entry | null;
}

/** Throws a TypeError when the file cannot be used. */
export async function openGeoIp(options: IdentityOptions['place']): Promise<GeoIp> {
  const { database } = options;
  const lookup = database === undefined ? undefined : await openDatabase(database);
  return {
    of({ address, placeSaid }) {
      const found = lookup === undefined || address === '' ? null : placeOf(lookup, address);
      return found ?? placeSaid ?? null;
    },
  };
}

async function openDatabase(file: string): Promise<Lookup> {
  // Loaded only where there is a file for it.
  const { Reader } = await import('mmdb-lib');
  try {
    return new Reader(readFileSync(file)) as unknown as Lookup;
  } catch (error) {
    throw new TypeError(`identity.place.database: ${file} cannot be used: ${messageOf(error)}`);
  }
}

function placeOf(lookup: Lookup, address: string): string | null {
  let entry: Entry | null;
  try {
    entry = lookup.get(address);
  } catch {
    // An IPv6 address in a file for IPv4, or a damaged part: no reason to refuse a sign-in.
    return null;
  }
  const words = [entry?.city?.names?.en, entry?.country?.names?.en ?? entry?.country?.iso_code];
  const text = words.filter((word) => typeof word === 'string').join(', ');
  return text === '' ? null : text.slice(0, MAX_LENGTH);
}

/** The value of such a field when it reads like a place, for people and without control characters. */
export function readPlace(value: string | null): string | undefined {
  const text = value?.trim() ?? '';
  return /^[\p{L}\p{N}][\p{L}\p{N} .,'()-]{0,99}$/u.test(text) ? text : undefined;
}
