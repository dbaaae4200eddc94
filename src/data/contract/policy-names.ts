/** Which policy a hook is of, for spans: noted when a route is built, looked up when a policy took long. */
const NAMES = new WeakMap<object, string>();

/** The first name stays: a policy in a file has its own, before that of the key that names the file. */
export function nameHooks(hooks: object, policy: string): void {
  for (const hook of Object.values(hooks)) if (typeof hook === 'function' && !NAMES.has(hook)) NAMES.set(hook, policy);
}

/** Empty for a hook of the gateway's own. */
export function policyOf(hook: object): string {
  return NAMES.get(hook) ?? '';
}
