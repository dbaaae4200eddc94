/**
 * Copies the finished files of the API pages (Swagger UI, Redoc) with their licences into `dist/vendor`, where
 * control/api-pages/pages.ts looks first: the package then serves them, and its users install nothing for it.
 */
import { cpSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const FILES: Readonly<Record<string, readonly string[]>> = {
  'swagger-ui-dist': [
    'swagger-ui-bundle.js',
    'swagger-ui-bundle.js.LICENSE.txt',
    'swagger-ui.css',
    'LICENSE',
    'NOTICE',
  ],
  redoc: ['bundles/redoc.standalone.js', 'bundles/redoc.standalone.js.LICENSE.txt', 'LICENSE'],
};

const require = createRequire(import.meta.url);
const target = fileURLToPath(new URL('../dist/vendor/', import.meta.url));
for (const [name, files] of Object.entries(FILES)) {
  const folder = dirname(require.resolve(`${name}/package.json`));
  mkdirSync(join(target, name), { recursive: true });
  for (const file of files) cpSync(join(folder, file), join(target, name, basename(file)));
}
