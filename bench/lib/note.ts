/**
 * The message of the gRPC job, about 1 KB as JSON, and how it looks as a gRPC message. Written by hand: the benchmark
 * proves the transcoder and so does not use it.
 */
export interface Note {
  readonly title: string;
  readonly text: string;
  readonly tags: readonly string[];
  /** 64 bits, and so a text in JSON. */
  readonly id: string;
}

export const note: Note = {
  title: 'Quarterly report of the north-eastern region',
  text: 'The quick brown fox jumps over the lazy dog. '.repeat(18).trim(),
  tags: ['reports', 'quarterly', 'north-east', 'sales', 'reviewed'],
  id: '9007199254740993',
};

export const path = '/bench.v1.Notes/Echo';
export const jsonPath = '/v1/notes';

export const protoText = `syntax = "proto3";
package bench.v1;
import "google/api/annotations.proto";
service Notes {
  rpc Echo(Note) returns (Note) { option (google.api.http) = { post: "${jsonPath}" body: "*" }; }
}
message Note {
  string title = 1;
  string text = 2;
  repeated string tags = 3;
  int64 id = 4;
}
`;

function varint(number: bigint): Buffer {
  const bytes: number[] = [];
  let left = number;
  for (; left > 127n; left >>= 7n) bytes.push(Number(left & 127n) | 128);
  return Buffer.from([...bytes, Number(left)]);
}

function text(field: number, value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.of((field << 3) | 2), varint(BigInt(bytes.length)), bytes]);
}

/** With the five bytes that gRPC puts in front: not compressed, and its length. */
export function grpcMessage({ title, text: body, tags, id }: Note): Buffer {
  const fields = [
    text(1, title),
    text(2, body),
    ...tags.map((tag) => text(3, tag)),
    Buffer.of(4 << 3),
    varint(BigInt(id)),
  ];
  const message = Buffer.concat(fields);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}
