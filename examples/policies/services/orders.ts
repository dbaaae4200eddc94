/** A service that answers with the fields that the policies of the example set. */
import { createServer } from 'node:http';

const server = createServer((request, response) => {
  const { 'x-tenant': tenant, 'x-group': group } = request.headers;
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify({ tenant, group, orders: [{ id: 1, item: 'lamp', internal: { margin: 0.4 } }] }));
});
server.listen(Number(process.env['PORT']), '127.0.0.1');
