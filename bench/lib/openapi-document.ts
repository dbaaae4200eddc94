/** An OpenAPI document as large as those of real systems, whose schemas all refer to each other in circles. */
export function largeDocument(bytes: number): string {
  const PROPERTIES = 12;
  /** Of one schema with its two operations. */
  const each = 2_600;
  const count = Math.ceil(bytes / each);
  const reference = (i: number) => ({ $ref: `#/components/schemas/Thing${i % count}` });
  const schemas: Record<string, object> = {};
  const paths: Record<string, object> = {};
  for (let i = 0; i < count; i++) {
    const properties: Record<string, object> = { next: reference(i + 1), far: reference(i * 7 + 3) };
    properties['children'] = { type: 'array', items: reference(i) };
    for (let j = 0; j < PROPERTIES; j++)
      properties[`field${j}`] = {
        ...(j % 3 === 0 ? { type: 'string', maxLength: 200, nullable: true } : { type: 'integer', minimum: 0 }),
        description: `What field ${j} of thing ${i} means to who reads this document, in a sentence of some length.`,
      };
    schemas[`Thing${i}`] = { type: 'object', required: ['field0', 'field1'], properties };
    const id = { name: 'id', in: 'path', required: true, schema: { type: 'string', format: 'uuid' } };
    const content = { 'application/json': { schema: reference(i) } };
    const limit = { name: 'limit', in: 'query', schema: { type: 'integer', maximum: 100 } };
    paths[`/things${i}/{id}`] = {
      parameters: [id],
      get: { parameters: [limit], responses: { 200: { description: 'it', content } } },
      put: { requestBody: { content }, responses: { 204: { description: 'changed' } } },
    };
  }
  return JSON.stringify({ openapi: '3.0.3', info: { title: 'Things', version: '1' }, paths, components: { schemas } });
}
