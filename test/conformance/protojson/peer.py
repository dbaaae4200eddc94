"""Python's ProtoJSON beside ours: reads lines `wire JSON` or `json HEX` and answers each with hex, JSON, or `error ...`."""
import sys
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

pool = descriptor_pool.DescriptorPool()
files = descriptor_pb2.FileDescriptorSet.FromString(open(sys.argv[1], 'rb').read())
for file in files.file:
    pool.Add(file)
Message = message_factory.MessageFactory(pool).GetPrototype(pool.FindMessageTypeByName(sys.argv[2]))
for line in sys.stdin:
    kind, text = line.rstrip('\n').split(' ', 1)
    try:
        if kind == 'wire':
            print(json_format.Parse(text, Message(), descriptor_pool=pool).SerializeToString(deterministic=True).hex(), flush=True)
        else:
            found = Message.FromString(bytes.fromhex(text))
            written = json_format.MessageToJson(found, including_default_value_fields=kind == 'full', descriptor_pool=pool, indent=None)
            print(written, flush=True)
    except Exception as error:
        print('error', str(error).replace('\n', ' '), flush=True)
