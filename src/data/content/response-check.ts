/** Responses of one operation with their schemas compiled, by status. */
import type { JsonSchema } from '../contract/user-policy.ts';
import type { ResponseSettings } from '../contract/validation.ts';
import { type CheckedBodyType, checkedTypes, compileWith } from './body-types.ts';
import type { CheckedParameter } from './parameters.ts';
import { checkParameters } from './parameters.ts';
import type { Violation } from './violation.ts';

export interface CheckedResponse {
  readonly status: string;
  readonly headers: readonly CheckedParameter[];
  readonly types: readonly CheckedBodyType[] | null;
}

export async function checkedResponses(
  responses: readonly ResponseSettings[],
  definitions: Readonly<Record<string, JsonSchema>>,
): Promise<CheckedResponse[]> {
  const checked: CheckedResponse[] = [];
  for (const { status, headers, types } of responses) {
    const fields: CheckedParameter[] = [];
    for (const each of headers) fields.push({ ...each, check: await compileWith(each.schema, definitions) });
    checked.push({
      status,
      headers: fields,
      types: types === null ? null : await checkedTypes(types, definitions),
    });
  }
  return checked;
}

/** What is said about a status: the exact one before its range before the default (OpenAPI 3.1 §4.8.16). */
export function responseFor(responses: readonly CheckedResponse[], status: number): CheckedResponse | undefined {
  const exact = String(status);
  const range = `${exact[0]}XX`;
  return (
    responses.find((each) => each.status === exact) ??
    responses.find((each) => each.status === range) ??
    responses.find((each) => each.status === 'default')
  );
}

export function checkResponseFields(
  response: CheckedResponse,
  header: (name: string) => string | null,
  found: Violation[],
): void {
  if (response.headers.length === 0) return;
  checkParameters(response.headers, { query: '', params: {}, header, cookie: () => null }, false, found);
}
