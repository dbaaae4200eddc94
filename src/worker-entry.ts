/** The module of a worker's thread, by its place: TypeScript in the checkout, JavaScript when built. */
export const WORKER_ENTRY = new URL(`./data/worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url);
