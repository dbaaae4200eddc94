/**
 * The embedding API of Gatehouse: start a gateway inside a program of your own, write its configuration in TypeScript,
 * and write balancing algorithms. Everything else is internal.
 */
export type { GatehouseConfig } from './control/config/define.ts';
export { defineConfig } from './control/config/define.ts';
export { type AuthorizeFunction, defineAuthorizer } from './data/auth/authorize/authorizer.ts';
export type { Balancer, BalancerDefinition, BalancerRequest, Candidate } from './data/contract/balancer.ts';
export { defineBalancer } from './data/contract/balancer.ts';
export type { GatewayAddress, GatewayOptions, RunningGateway } from './main.ts';
export { ConfigurationError, startGateway } from './main.ts';
