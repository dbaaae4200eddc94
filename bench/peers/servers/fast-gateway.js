/** fast-gateway with one route, as its documentation shows it, on a server that keeps idle connections. */
import http from 'node:http';
import https from 'node:https';
import gateway from 'fast-gateway';
import { options, patient, tlsOptions } from './listen.js';

const server =
  tlsOptions === undefined ? http.createServer(patient) : https.createServer({ ...patient, ...tlsOptions });
gateway({
  restana: { server },
  enableServicesEndpoint: false,
  routes: [{ prefix: '', target: options.upstream }],
});
server.listen({ port: options.port, host: '127.0.0.1', backlog: 4096 });
