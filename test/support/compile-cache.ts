/**
 * What is compiled once, types stripped, is kept in `.cache/compile` (by content, so never stale): every test file, and
 * every worker of a gateway in it, would compile the same few hundred modules again. Import it for its effect before
 * a process or worker starts. https://nodejs.org/api/module.html#module-compile-cache
 */
import { fileURLToPath } from 'node:url';

process.env['NODE_COMPILE_CACHE'] ??= fileURLToPath(new URL('../../.cache/compile', import.meta.url));
