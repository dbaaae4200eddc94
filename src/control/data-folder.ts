/** The folder `gateway.dataDir`: accounts, keys, sockets and what is kept over a restart are in it. */
import { constants } from 'node:fs';
import { access, mkdir, stat } from 'node:fs/promises';
import { readFailure } from '../base/read-failure.ts';

/** Makes the folder if need be. Rejects, with what to do, where this user cannot keep files in it. */
export async function makeDataFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await access(folder, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    const isThere = await stat(folder).then(
      () => true,
      () => false,
    );
    const what = isThere ? 'cannot be used' : 'cannot be made';
    throw new Error(
      `the data folder ${folder} ${what}: ${readFailure(error)}; gateway.dataDir names another one, ` +
        'and the user of this process must own it',
      { cause: error },
    );
  }
}
