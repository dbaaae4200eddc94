/**
 * `use`: policies in files of the user's own. This one only fetches what the worker has loaded before the snapshot
 * (data/user-policies); each entry of the key is one policy here. Within a phase they run after the built-in policies.
 */
import { definePolicy } from '../contract/policy.ts';
import { UserPolicies, type UseSettings } from '../user-policies/user-policies.ts';

export const use = definePolicy<UseSettings>({
  name: 'use',
  phases: ['arrival', 'authenticate', 'authorize', 'limit', 'requestHead', 'requestBody', 'responseHead', 'finish'],
  create: (settings, environment) => UserPolicies.of(environment).acquire(settings),
});
