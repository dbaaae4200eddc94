/** The version of Gatehouse, from its package file, which lies beside `src` and beside the compiled `dist` alike. */
import { readFileSync } from 'node:fs';

const file = new URL('../../../package.json', import.meta.url);

export const PRODUCT_VERSION: string = (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
