/**
 * The operations of one `validate` or `openapi` with their schemas compiled, and the check of a request against them.
 * Made before a snapshot is live.
 */
import type { OperationSettings, ValidateSettings } from '../contract/validation.ts';
import { bodyTypeOf, type CheckedBodyType, checkBody, checkedTypes, compileWith } from './body-types.ts';
import { OperationTable } from './operation-table.ts';
import type { CheckedParameter, ParameterSource } from './parameters.ts';
import { checkParameters } from './parameters.ts';
import { type CheckedResponse, checkedResponses } from './response-check.ts';
import type { Violation } from './violation.ts';

export interface CheckedOperation {
  readonly parameters: readonly CheckedParameter[];
  readonly body: { readonly required: boolean; readonly types: readonly CheckedBodyType[] } | null;
  /** Null: responses are not looked at. */
  readonly responses: readonly CheckedResponse[] | null;
}

export class RequestCheck {
  readonly settings: ValidateSettings;
  /** The only one, when paths and methods are the route's own. */
  readonly single: CheckedOperation | null;
  readonly #table = new OperationTable<CheckedOperation>();

  static async prepare(settings: ValidateSettings): Promise<RequestCheck> {
    const made: [OperationSettings, CheckedOperation][] = [];
    for (const operation of settings.operations) made.push([operation, await checkedOperation(operation, settings)]);
    return new RequestCheck(settings, made);
  }

  private constructor(settings: ValidateSettings, made: readonly [OperationSettings, CheckedOperation][]) {
    this.settings = settings;
    this.single = made.find(([{ path }]) => path === null)?.[1] ?? null;
    for (const [{ path, method }, operation] of made) if (path !== null) this.#table.add(method ?? '', path, operation);
  }

  /** The operation and the values of its path, or the methods that the path has. */
  find(method: string, path: string): ReturnType<OperationTable<CheckedOperation>['find']> {
    const { basePath } = this.settings;
    if (basePath !== '' && !path.startsWith(`${basePath}/`)) return [];
    return this.#table.find(method, path.slice(basePath.length));
  }

  /** The operation alone; null when there is none. */
  operationFor(method: string, path: string): CheckedOperation | null {
    if (this.single !== null) return this.single;
    const found = this.find(method, path);
    return 'operation' in found ? found.operation : null;
  }

  checkHead(operation: CheckedOperation, source: ParameterSource): Violation[] {
    const found: Violation[] = [];
    checkParameters(operation.parameters, source, this.settings.unknownQuery === 'refuse', found);
    return found;
  }

  /** The kind of body that a Content-Type names; undefined when the operation takes no such thing. */
  bodyType(operation: CheckedOperation, contentType: string | null): CheckedBodyType | undefined {
    return bodyTypeOf(operation.body?.types ?? [], contentType);
  }

  checkBody(type: CheckedBodyType, bytes: Uint8Array): readonly Violation[] {
    return checkBody(type, bytes, this.settings);
  }
}

async function checkedOperation(operation: OperationSettings, settings: ValidateSettings): Promise<CheckedOperation> {
  const { definitions } = settings;
  const parameters: CheckedParameter[] = [];
  for (const each of operation.parameters)
    parameters.push({ ...each, check: await compileWith(each.schema, definitions) });
  const responses =
    operation.responses === undefined || settings.response === null
      ? null
      : await checkedResponses(operation.responses, settings.response.definitions);
  if (operation.body === null) return { parameters, body: null, responses };
  const types = await checkedTypes(operation.body.types, definitions);
  return { parameters, body: { required: operation.body.required, types }, responses };
}
