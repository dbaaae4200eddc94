/** The features of the control plane, in the order in which they start. */
import type { Feature } from './feature.ts';
import type { Primary } from './primary.ts';

export const FEATURES: readonly ((primary: Primary) => Feature)[] = [];
