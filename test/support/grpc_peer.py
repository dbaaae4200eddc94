"""Both ends of gRPC calls for tests, by grpcio with plain bytes as messages: `serve`, or `call PORT` with a JSON list."""
import json, sys, threading, time
from concurrent import futures
import grpc

MAX = [('grpc.max_receive_message_length', -1), ('grpc.max_send_message_length', -1)]
cancelled = threading.Event()


def unary(request, context):
    context.send_initial_metadata((('x-initial', 'yes'),))
    context.set_trailing_metadata((('x-trailing', 'yes'), ('x-seen-bin', bytes(3))))
    return request[::-1]


def fails(request, context):
    context.set_trailing_metadata((('grpc-status-details-bin', b'\x08\x05'),))
    context.abort(grpc.StatusCode.NOT_FOUND, 'no such thing: 100% \u00e9')


def unavailable(request, context):
    context.abort(grpc.StatusCode.UNAVAILABLE, 'later')


def remaining(request, context):
    return str(int(context.time_remaining() * 1000)).encode()


def slow(request, context):
    context.add_callback(cancelled.set)
    while context.is_active():
        time.sleep(0.01)
    return b''


def was_cancelled(request, context):
    found = cancelled.wait(5)
    cancelled.clear()
    return b'yes' if found else b'no'


def server_stream(request, context):
    for i in range(int(request)):
        yield b'%d' % i


def breaks(request, context):
    yield b'one'
    context.abort(grpc.StatusCode.DATA_LOSS, 'in the middle')


def client_stream(requests, context):
    return b'%d' % sum(len(request) for request in requests)


def both(requests, context):
    for request in requests:
        yield request.upper()


def serve():
    server = grpc.server(futures.ThreadPoolExecutor(16), options=MAX)
    handlers = {f.__name__: grpc.unary_unary_rpc_method_handler(f) for f in (unary, fails, unavailable, remaining, slow, was_cancelled)}
    handlers |= {f.__name__: grpc.unary_stream_rpc_method_handler(f) for f in (server_stream, breaks)}
    handlers['client_stream'] = grpc.stream_unary_rpc_method_handler(client_stream)
    handlers['both'] = grpc.stream_stream_rpc_method_handler(both)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler('test.Echo', handlers),))
    print(server.add_insecure_port('127.0.0.1:0'), flush=True)
    server.start()
    server.wait_for_termination()


def call(port):
    channel = grpc.insecure_channel(f'127.0.0.1:{port}', options=MAX)
    results = []
    for method, kind, request, timeout in json.load(sys.stdin):
        path = method if method.startswith('/') else f'/test.Echo/{method}'
        got = []
        result = {}
        try:
            if kind == 'unary':
                response, info = channel.unary_unary(path).with_call(request.encode() if isinstance(request, str) else bytes(request), timeout=timeout)
                got.append(response)
                result['initial'] = {k: str(v) for k, v in info.initial_metadata()}
                result['trailing'] = {k: str(v) for k, v in info.trailing_metadata()}
            elif kind == 'stream':
                for response in channel.unary_stream(path)(request.encode(), timeout=timeout):
                    got.append(response)
            elif kind == 'client':
                got.append(channel.stream_unary(path)((r.encode() if isinstance(r, str) else bytes(r) for r in request), timeout=timeout))
            elif kind == 'both':
                for response in channel.stream_stream(path)((r.encode() for r in request), timeout=timeout):
                    got.append(response)
            elif kind == 'cancel':
                future = channel.unary_unary(path).future(request.encode())
                time.sleep(0.3)
                future.cancel()
            result['code'] = 0
        except grpc.RpcError as error:
            result['code'] = error.code().value[0]
            result['details'] = error.details()
            result['trailing'] = {k: str(v) for k, v in (error.trailing_metadata() or ())}
        result['got'] = [r.decode('latin1') if len(r) < 1000 else len(r) for r in got]
        results.append(result)
    print(json.dumps(results))


if sys.argv[1] == 'serve':
    serve()
else:
    call(int(sys.argv[2]))
