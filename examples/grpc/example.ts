import type { Example } from '../run.ts';

export default {
  title: 'A gRPC service (books) behind Gatehouse: as REST, as gRPC-Web and as gRPC.',
  services: [{ name: 'books', file: 'services/books.ts', port: 50051, env: { PORT: '50051' } }],
  configuration: 'gatehouse.yaml',
  port: 8000,
  tries: [
    `curl -i http://127.0.0.1:8000/api/v1/shelves/1/books -H 'Content-Type: application/json' -d '{"title":"Emma","copies":"12"}'`,
    'curl -i http://127.0.0.1:8000/api/v1/shelves/1/books/emma',
    'curl -N http://127.0.0.1:8000/api/v1/books:watch -H "Accept: text/event-stream"',
    `curl -i http://127.0.0.1:8000/api/v1/shelves/1/books -H 'Content-Type: application/json' -d '{"titel":"Emma"}'   # 400, with the field`,
    'npm run gatehouse -- routes -c examples/grpc/gatehouse.yaml GET /api/v1/shelves/1/books/emma',
  ],
} satisfies Example;
