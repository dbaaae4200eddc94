/** JSON over HTTP in front of a gRPC service (`transcode` of a route), as control compiles it and workers run it. */
import type { ProtoSchema } from '../../base/protobuf/schema.ts';

export interface TranscodeSettings {
  /** Null where the service says it itself. */
  readonly api: TranscodeApi | null;
  /** Where `api` comes from then, or null. */
  readonly reflection: ReflectionSettings | null;
  /** Names in responses as in the `.proto` file, not in lowerCamelCase. */
  readonly fileNames: boolean;
  /** Responses have also the fields without presence that hold their default value. */
  readonly defaults: boolean;
  /** Query parameters that are no field of a request. */
  readonly ignoreQuery: readonly string[];
  /** One message of a response. */
  readonly maxMessageBytes: number;
}

/** How a service is asked for its definition, and how workers get it. */
export interface ReflectionSettings {
  /** Topic of the line to control on which a `TranscodeApi` comes. */
  readonly topic: string;
  /** Which service of the configuration is asked. */
  readonly service: string;
  /** Full names of gRPC services; null: all that it has. */
  readonly services: readonly string[] | null;
  /** Methods without `google.api.http` too. */
  readonly unbound: boolean;
  readonly refreshMs: number;
}

export interface TranscodeApi {
  /** The types of requests and responses, and those of google.rpc. */
  readonly schema: ProtoSchema;
  readonly bindings: readonly TranscodeBinding[];
}

export interface TranscodeBinding {
  /** Upper case. */
  readonly verb: string;
  /** As in `google.api.http`; it has been parsed before. */
  readonly template: string;
  /** `/package.Service/Method`. */
  readonly rpc: string;
  /** Full names. */
  readonly input: string;
  readonly output: string;
  readonly clientStreams: boolean;
  readonly serverStreams: boolean;
  /** Name of a field, `*`, or empty for none. */
  readonly body: string;
  /** Name of a field, or empty for all of the response. */
  readonly responseBody: string;
  /** From the file, for documentation. */
  readonly comment?: string;
}
