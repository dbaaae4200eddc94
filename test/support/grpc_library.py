"""The library of test/integration/transcode by grpcio and Python's protobuf: `grpc_library.py DESCRIPTOR_SET`, prints its port."""
import sys, time
from concurrent import futures
import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory, any_pb2, duration_pb2

pool = descriptor_pool.Default()
for file in descriptor_pb2.FileDescriptorSet.FromString(open(sys.argv[1], 'rb').read()).file:
    try:
        pool.FindFileByName(file.name)
    except KeyError:
        pool.Add(file)
factory = message_factory.MessageFactory(pool)
SERVICE = pool.FindServiceByName('test.library.v1.Library')


def type_of(name):
    return factory.GetPrototype(pool.FindMessageTypeByName(name))


Book = type_of('test.library.v1.Book')
Seen = type_of('test.library.v1.Seen')
ListBooksResponse = type_of('test.library.v1.ListBooksResponse')
HttpBody = type_of('google.api.HttpBody')
Empty = type_of('google.protobuf.Empty')
Status = type_of('google.rpc.Status')


def text(message):
    return json_format.MessageToJson(message, indent=None, sort_keys=True, descriptor_pool=pool)


def seen(request, context, messages=1):
    left = context.time_remaining()
    return Seen(
        request=text(request),
        metadata={k: v for k, v in context.invocation_metadata() if isinstance(v, str)},
        messages=messages,
        left_ms=0 if left is None or left > 1e6 else int(left * 1000),
    )


def get_book(request, context):
    context.send_initial_metadata((('x-shelf', 'seven'), ('etag', '"v1"')))
    context.set_trailing_metadata((('x-cost', '3'),))
    return Book(name=request.name, title='by isbn ' + request.isbn if request.isbn else 'Title', pages=9007199254740993, genre=1)


def list_books(request, context):
    return ListBooksResponse(books=[Book(title='a')], titles=['a', 'b'], seen=text(request))


def create_book(request, context):
    request.book.name = request.parent + '/books/' + (request.book_id or 'new')
    return request.book


def update_book(request, context):
    request.book.tags.append(','.join(request.update_mask.paths))
    return request.book


def watch_books(request, context):
    for i in range(request.count):
        yield Book(title=f'book {i}')
    if request.fail_code:
        context.abort(grpc.StatusCode(next(c.value for c in grpc.StatusCode if c.value[0] == request.fail_code)), 'in the middle')


def fail(request, context):
    status = next(c for c in grpc.StatusCode if c.value[0] == request.code)
    if request.details:
        bad = type_of('google.rpc.BadRequest')()
        bad.field_violations.add(field='code', description='is bad')
        retry = type_of('google.rpc.RetryInfo')(retry_delay=duration_pb2.Duration(seconds=2, nanos=500000000))
        whole = Status(code=request.code, message='with details')
        for detail in (bad, retry):
            whole.details.add().Pack(detail)
        whole.details.add(type_url='type.googleapis.com/no.Such', value=b'abc')
        context.set_trailing_metadata((('grpc-status-details-bin', whole.SerializeToString()),))
    context.abort(status, 'failed: 100% \u00e9')


def download(request, context):
    return HttpBody(content_type='text/csv', data=f'path,{request.path}\n'.encode())


def record(requests, context):
    all = list(requests)
    return seen(all[-1] if all else Book(), context, len(all))


HANDLERS = {
    'GetBook': get_book, 'ListBooks': list_books, 'CreateBook': create_book, 'UpdateBook': update_book,
    'DeleteBook': lambda request, context: Empty(), 'WatchBooks': watch_books, 'Fail': fail, 'Download': download,
    'MoveBook': lambda request, context: Book(name=request.other_shelf + '/' + request.name.split('/', 2)[2]),
    'Upload': seen, 'Record': record, 'See': seen, 'Unbound': seen,
}
methods = {}
for method in SERVICE.methods:
    make = (grpc.stream_unary_rpc_method_handler if method.name == 'Record'
            else grpc.unary_stream_rpc_method_handler if method.name == 'WatchBooks' else grpc.unary_unary_rpc_method_handler)
    methods[method.name] = make(
        HANDLERS[method.name],
        request_deserializer=type_of(method.input_type.full_name).FromString,
        response_serializer=lambda message: message.SerializeToString(),
    )
server = grpc.server(futures.ThreadPoolExecutor(16))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE.full_name, methods),))
print(server.add_insecure_port('127.0.0.1:0'), flush=True)
server.start()
server.wait_for_termination()
