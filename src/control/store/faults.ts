/**
 * Reads what a database driver threw: is it away, is it a unique key, is it contention that another try solves.
 * Works on the codes of `node:sqlite` (extended result codes) and of PostgreSQL (SQLSTATE), never on message texts
 * where a code exists.
 */

import { readFailure } from '../../base/read-failure.ts';

interface DriverError {
  readonly code?: unknown;
  readonly errcode?: unknown;
  readonly message?: unknown;
}

/** The store cannot be used at all; `cause` is what the driver said. */
class StoreFault extends Error {}

function read(error: unknown): { code: string; errcode: number; message: string } {
  if (error instanceof StoreFault) return read(error.cause);
  const found = (typeof error === 'object' && error !== null ? error : {}) as DriverError;
  return {
    code: typeof found.code === 'string' ? found.code : '',
    errcode: typeof found.errcode === 'number' ? found.errcode : -1,
    message: typeof found.message === 'string' ? found.message : '',
  };
}

/** SQLite result codes (https://www.sqlite.org/rescode.html): PERM BUSY LOCKED READONLY IOERR CORRUPT FULL CANTOPEN. */
const SQLITE_AWAY = new Set([3, 5, 6, 8, 10, 11, 13, 14]);
const SOCKET_CODES = /^E(CONNREFUSED|CONNRESET|PIPE|TIMEDOUT|HOSTUNREACH|NETUNREACH|NOTFOUND|AI_AGAIN|NOENT|ACCES)$/;

/** What `pg` says of a connection that is gone, that could not be made, or that it closed itself. */
const WITHOUT_CODE = new RegExp(
  `^(${[
    'timeout exceeded when trying to connect',
    'timeout expired',
    'Connection terminated',
    'Query read timeout',
    'Client has encountered a connection error and is not queryable',
    'Client was closed and is not queryable',
    'Received unexpected ',
    'The server does not support SSL connections',
    'There was an error establishing an SSL connection',
    'Cannot use a pool after calling end on the pool',
  ].join('|')})`,
);

/** True when the database cannot be used now, so that the caller should answer 503 and not 500. */
export function isUnavailable(error: unknown): boolean {
  const { code, errcode, message } = read(error);
  if (code === 'ERR_SQLITE_ERROR') return SQLITE_AWAY.has(errcode & 0xff);
  // A handle that was closed, by us at the end or by a failed disk.
  if (code === 'ERR_INVALID_STATE' && message.includes('database is not open')) return true;
  // SQLSTATE 08: connection, 53: resources, 57: operator (shutdown, cancelled by a timeout), 58: system.
  if (/^(08|53|57|58)[0-9A-Z]{3}$/.test(code) || SOCKET_CODES.test(code) || isReadOnly(error)) return true;
  return WITHOUT_CODE.test(message);
}

/** The server takes no writes: it is a replica, or has become one. */
export function isReadOnly(error: unknown): boolean {
  return read(error).code === '25006';
}

/** In words, for health: nothing of the data, and no message of the driver, which may hold some. */
export function unavailableBecause(error: unknown): string {
  const { code, errcode } = read(error);
  if (isReadOnly(error)) return 'the database may not be written';
  if (code !== 'ERR_SQLITE_ERROR') return `the database does not answer${code === '' ? '' : ` (${code})`}`;
  switch (errcode & 0xff) {
    case 5:
    case 6:
      return 'the database is locked by another process';
    case 13:
      return 'the disk is full';
    case 8:
    case 3:
      return 'the database may not be written';
    default:
      return `the database cannot be used (SQLite ${errcode})`;
  }
}

/**
 * Why a store cannot be opened, for who starts the gateway: with its address, and what the server itself says where it
 * says something. Other errors, such as a fault of our own, come back as they are.
 */
export function openFailure(where: string, error: unknown): unknown {
  const words = openFailureWords(error);
  if (words === null) return error;
  return new StoreFault(`the database ${where} cannot be used: ${words}`, { cause: error });
}

const SOCKET_WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ECONNRESET: 'it closed the connection',
  ETIMEDOUT: 'it does not answer in time',
  EHOSTUNREACH: 'there is no way to its host',
  ENETUNREACH: 'there is no way to its host',
  ENOTFOUND: 'its host is not known',
  EAI_AGAIN: 'no name server tells where its host is',
};
const SQLITE_WORDS: Readonly<Record<number, string>> = {
  11: 'the file is damaged',
  14: 'the file cannot be opened',
  26: 'the file is no SQLite database',
};

function openFailureWords(error: unknown): string | null {
  const { code, errcode, message } = read(error);
  if (code === 'ERR_SQLITE_ERROR') return SQLITE_WORDS[errcode & 0xff] ?? unavailableBecause(error);
  if (SOCKET_WORDS[code] !== undefined) return SOCKET_WORDS[code];
  // SQLSTATE: the server's own words, such as those about a wrong password or a database that is not there.
  if (/^[0-9A-Z]{5}$/.test(code)) return message;
  if (typeof (error as NodeJS.ErrnoException | null)?.syscall === 'string') return readFailure(error);
  if (/timeout|^Query read/.test(message) && WITHOUT_CODE.test(message)) return SOCKET_WORDS['ETIMEDOUT'] ?? null;
  return WITHOUT_CODE.test(message) ? message : null;
}

/** True for a second row with the same unique key. */
export function isUniqueViolation(error: unknown): boolean {
  const { code, errcode } = read(error);
  // 2067 SQLITE_CONSTRAINT_UNIQUE, 1555 SQLITE_CONSTRAINT_PRIMARYKEY; 23505 unique_violation
  return code === '23505' || (code === 'ERR_SQLITE_ERROR' && (errcode === 2067 || errcode === 1555));
}

/** True for what PostgreSQL rolled back only because of others: the same transaction may succeed now. */
export function isContention(error: unknown): boolean {
  const { code } = read(error);
  return code === '40001' || code === '40P01';
}

/** True when SQLite refused because another process holds the write lock; nothing of the statement happened. */
export function isSqliteBusy(error: unknown): boolean {
  const { code, errcode } = read(error);
  return code === 'ERR_SQLITE_ERROR' && (errcode & 0xff) === 5;
}
