/** Why a file cannot be read or written, in words that need no list of codes. */
import { messageOf } from './errors.ts';

const WORDS: Readonly<Record<string, string>> = {
  ENOENT: 'it does not exist',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the quota of the disk is used up',
  EEXIST: 'a file of this name exists',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of its path is no folder',
  ELOOP: 'its links lead to themselves',
  ENAMETOOLONG: 'its name is too long',
  ERR_ENCODING_INVALID_ENCODED_DATA: 'it is not UTF-8',
  ERR_FS_FILE_TOO_LARGE: 'it is larger than 2 GB',
};

/** For an error of reading, writing or decoding. */
export function readFailure(error: unknown): string {
  const { code } = error as { readonly code?: string };
  return WORDS[code ?? ''] ?? messageOf(error);
}

/** The same as a sentence, where it is the file that stands in the way; else what the error says. */
export function readMessage(error: unknown): string {
  const { code } = error as { readonly code?: string };
  return WORDS[code ?? ''] === undefined ? messageOf(error) : `the file cannot be read: ${readFailure(error)}`;
}

/** What the system refused to do with a file, in words; of other errors their message. */
export function fileMessage(error: unknown): string {
  const { code = '', path, syscall = '' } = error as NodeJS.ErrnoException;
  const words = WORDS[code];
  if (words === undefined || path === undefined || path === '') return messageOf(error);
  return `${path} cannot be ${DONE[syscall] ?? 'used'}: ${words}`;
}

const DONE: Readonly<Record<string, string>> = {
  open: 'opened',
  read: 'read',
  mkdir: 'made',
  unlink: 'removed',
  rename: 'replaced',
  scandir: 'read',
  listen: 'listened on',
};
