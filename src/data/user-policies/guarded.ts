/**
 * From the hooks that `create` of a user's policy returned to those that the engine calls: checked, and each with its
 * guard.
 */
import type { PolicyHooks } from '../contract/policy.ts';
import type { UserPolicyHooks } from '../contract/user-policy.ts';
import { isBodyHook, requestBodyHook, responseBodyAsk, responseBodyHook, rulesProblem } from './body-hooks.ts';
import type { HookGuard } from './hook-guard.ts';

const REQUEST_PHASES = ['arrival', 'authenticate', 'authorize', 'limit', 'requestHead'] as const;
const EXCHANGE_PHASES = ['responseHead', 'finish'] as const;
const BODY_PHASES = ['requestBody', 'responseBody'] as const;
const KNOWN_HOOKS: readonly string[] = [...REQUEST_PHASES, ...BODY_PHASES, ...EXCHANGE_PHASES, 'dispose'];
/** Where leaving a policy out would let in whom it keeps out. */
const GUARDING = ['arrival', 'authenticate', 'authorize', 'limit'] as const;

export function refuseStrangeHooks(hooks: UserPolicyHooks, onBroken: 'fail' | 'skip'): void {
  if (typeof hooks !== 'object' || hooks === null) throw new TypeError('create must return an object of hooks');
  for (const [name, hook] of Object.entries(hooks)) {
    if (!KNOWN_HOOKS.includes(name))
      throw new TypeError(`there is no hook "${name}"; there are ${KNOWN_HOOKS.join(', ')}`);
    if (hook === undefined) continue;
    if ((BODY_PHASES as readonly string[]).includes(name)) {
      if (!isBodyHook(hook))
        throw new TypeError(`the hook "${name}" is not made with wholeBody, jsonBody or bodyStream`);
      const problem = rulesProblem(hook);
      if (problem !== undefined) throw new TypeError(`the hook "${name}": ${problem}`);
    } else if (typeof hook !== 'function') throw new TypeError(`the hook "${name}" is no function`);
  }
  const guarding = GUARDING.find((phase) => hooks[phase] !== undefined);
  if (onBroken === 'skip' && guarding !== undefined)
    throw new TypeError(`onBroken: skip would open what its hook "${guarding}" guards; write fail`);
}

export function guarded(hooks: UserPolicyHooks, guard: HookGuard): PolicyHooks {
  const result: Record<string, unknown> = {};
  for (const phase of REQUEST_PHASES) {
    const hook = hooks[phase];
    if (hook !== undefined) result[phase] = guard.request(hook, hooks, phase);
  }
  for (const phase of EXCHANGE_PHASES) {
    const hook = hooks[phase];
    if (hook !== undefined) result[phase] = guard.exchange(hook, hooks, phase);
  }
  const { requestBody, responseBody } = hooks;
  if (requestBody !== undefined) result['requestBody'] = requestBodyHook(requestBody, guard);
  if (responseBody === undefined) return result as PolicyHooks;
  const { requestHead, responseHead } = result as PolicyHooks;
  const ask = responseBodyAsk(guard);
  const filter = responseBodyHook(responseBody, guard);
  return {
    ...result,
    requestHead: requestHead === undefined ? ask : (exchange) => ask(exchange) ?? requestHead(exchange),
    responseHead:
      responseHead === undefined
        ? filter
        : (exchange) => {
            responseHead(exchange);
            filter(exchange);
          },
  };
}
