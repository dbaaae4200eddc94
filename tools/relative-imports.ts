/**
 * Preloaded into the processes of tests (`--import`), and with them into the workers of their gateways: where one file
 * of the project imports another, the specifier says where that is, and the engine need not search. What a test does
 * first is to import some hundred files, in its own thread and in each worker of each gateway, and more than half of
 * the processor time that this takes is the search (150 and 230 ms; 95 and 170 ms with this).
 * https://nodejs.org/api/module.html#customization-hooks
 */
import { registerHooks } from 'node:module';

const ROOT = new URL('../', import.meta.url).href;
const PACKAGES = `${ROOT}node_modules/`;

registerHooks({
  resolve(specifier, context, next) {
    const { parentURL } = context;
    if (
      specifier.startsWith('.') &&
      specifier.endsWith('.ts') &&
      parentURL?.startsWith(ROOT) === true &&
      !parentURL.startsWith(PACKAGES)
    )
      return { url: new URL(specifier, parentURL).href, format: 'module-typescript', shortCircuit: true };
    return next(specifier, context);
  },
});
