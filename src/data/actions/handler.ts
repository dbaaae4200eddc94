/** `handler`: a function in a file of the user's makes the response, with the web's own `Request` and `Response`. */
import type { PolicyEnvironment } from '../contract/policy.ts';
import type { ModuleSettings } from '../contract/snapshot.ts';
import type { RouteAction } from '../exchange/active-config.ts';
import { HandlerCall } from '../handlers/handler-call.ts';
import { UserPolicies } from '../user-policies/user-policies.ts';

export function handlerAction(settings: ModuleSettings, environment: PolicyEnvironment): RouteAction {
  const acquired = UserPolicies.of(environment).handler(settings);
  return {
    open(exchange, handler) {
      exchange.takesTime();
      return new HandlerCall(exchange, acquired, environment.clock, handler);
    },
  };
}
