/** `transcode` of a route: JSON over HTTP in front of a gRPC service. Compiled by transcode.ts. */
import * as z from 'zod';
import { duration, size } from '../../base/zod-units.ts';
import { filePath, oneOrMore } from '../config/schema/fields.ts';

const typeName = z
  .string()
  .max(500)
  .regex(/^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$/, 'must be a name such as craft.analytics.v1.Analytics');

export const transcodeSchema = z
  .strictObject({
    proto: oneOrMore(filePath())
      .optional()
      .describe('`.proto` files that define the services. This, `descriptorSet` or `reflection`.'),
    importPaths: oneOrMore(filePath())
      .optional()
      .describe(
        'Folders in which their imports are looked for, after the folders of the files. google/protobuf, google/api/http, httpbody and annotations, google/rpc are known.',
      ),
    descriptorSet: filePath()
      .optional()
      .describe('File in place of `proto`, from `protoc --include_imports --descriptor_set_out=FILE`.'),
    reflection: z
      .union([
        z.literal(true),
        z.strictObject({
          refresh: duration({ min: 1_000, max: 86_400_000 })
            .prefault('1m')
            .describe('How often the service is asked again. While it does not answer, it is asked more often.'),
        }),
      ])
      .optional()
      .describe(
        'In place of `proto`: the service is asked for its definition, by server reflection (v1 or v1alpha), when the gateway starts and every minute. Until it has answered, the route answers 503.',
      ),
    services: oneOrMore(typeName).optional().describe('Full names of the gRPC services. Default: all that there are.'),
    unbound: z
      .boolean()
      .prefault(false)
      .describe(
        'Methods without `google.api.http` are reached by POST to `/package.Service/Method` with the request as body.',
      ),
    names: z
      .enum(['json', 'proto'])
      .prefault('json')
      .describe('Names of fields in responses: lowerCamelCase, or as in the `.proto` file. Requests may use either.'),
    defaults: z
      .boolean()
      .prefault(true)
      .describe(
        'Responses have also fields that hold their default value, such as `0`, `""` and `[]`; `optional` ones only when set.',
      ),
    ignoreQuery: oneOrMore(z.string().min(1).max(200))
      .optional()
      .describe('Query parameters that are no field of the request; others that are none are refused with 400.'),
    maxMessageSize: size({ min: 1_024, max: 256 * 1024 ** 2 })
      .prefault('4mb')
      .describe('Largest message of a response; a larger one is 502.'),
  })
  .check(({ value, issues }) => {
    const given = (['proto', 'descriptorSet', 'reflection'] as const).filter((key) => value[key] !== undefined);
    if (given.length === 1) return;
    const message = given.length === 0 ? 'says nowhere what the service offers' : `has ${given.join(' and ')}`;
    const params = { expected: 'proto, descriptorSet or reflection' };
    issues.push({ code: 'custom', path: [], input: value, message, params });
  })
  .describe(
    'Takes JSON over HTTP and calls a gRPC service, by `google.api.http` in its definition. Calls of gRPC pass as they are.',
  );

export type TranscodeOptions = z.output<typeof transcodeSchema>;
