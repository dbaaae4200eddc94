/** Who may read of an operation in an OpenAPI document; each reads what those before it may. */
export const AUDIENCES = ['public', 'signed-in', 'admin'] as const;
export type Audience = (typeof AUDIENCES)[number];
