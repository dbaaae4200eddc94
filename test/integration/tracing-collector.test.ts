/**
 * Collectors that are slow, away, full or lying, by both protocols: what is lost is counted, what can be sent again is,
 * and requests notice none of it.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Authority } from '../support/certificates.ts';
import { startTestGateway } from '../support/gateway.ts';
import { type Collector, grpcCollector, httpCollector } from '../support/otlp-collector.ts';
import { freePort } from '../support/ports.ts';
import { until } from '../support/until.ts';
import { httpUpstream } from '../support/upstream.ts';

const COLLECTORS = { 'http/protobuf': httpCollector, grpc: grpcCollector } as const;
const PROTOCOLS = ['http/protobuf', 'grpc'] as const;

const spansArrive = (collector: Collector, count: number) =>
  until(() => collector.spans.length >= count, `${count} spans at the collector`, 30_000);

describe('spans', { concurrency: 3 }, () => {
  for (const [protocol, behaviour] of PROTOCOLS.flatMap((protocol) =>
    (['silent', 'reset', 'full', 'lying', 'refusing'] as const).map((each) => [protocol, each] as const),
  ))
    it(`cost nothing but themselves when the collector of ${protocol} is ${behaviour}`, async (t) => {
      const collector = await COLLECTORS[protocol](t);
      collector.behaviour = behaviour;
      const upstream = await httpUpstream(t, (_, response) => void response.end('ok'));
      const gateway = await startTestGateway(t, {
        gateway: {
          tracing: {
            endpoint: collector.url,
            protocol,
            ratio: 1,
            timeout: behaviour === 'silent' ? 3_000 : 200,
            maxQueue: 512,
          },
        },
        services: { a: { instances: [{ url: upstream.url }] } },
        routes: [{ match: { path: '/*' }, service: 'a', auth: 'public' }],
      });
      for (let i = 0; i < 600; i += 50)
        await Promise.all(
          Array.from({ length: 50 }, async () => assert.equal(await (await fetch(`${gateway.url}/`)).text(), 'ok')),
        );
      const number = async (name: string): Promise<number> => {
        const text = await (await fetch(`${gateway.url}/metrics/prometheus`)).text();
        return Number(new RegExp(`^gatehouse_trace_spans_${name} (\\d+)`, 'm').exec(text)?.[1] ?? 0);
      };
      // A collector that says 200 to what it did not understand has taken it, as far as anybody can know.
      const lost = behaviour === 'lying' ? 'exported_total' : 'failed_total';
      await until(async () => (await number(lost)) > 0, `spans are counted as ${lost}`, 30_000);
      assert.ok((await number('waiting')) <= 512);
      if (behaviour === 'silent') assert.ok((await number('dropped_total')) > 0);
      // And it recovers.
      collector.behaviour = 'good';
      const isBack = async (): Promise<boolean> => {
        await (await fetch(`${gateway.url}/`)).text();
        return collector.spans.length > 0;
      };
      await until(isBack, 'it has spans again', 30_000);
    });

  for (const protocol of PROTOCOLS) {
    for (const behaviour of ['away', 'busy', 'reset'] as const)
      it(`are not lost when the collector of ${protocol} is ${behaviour} twice`, async (t) => {
        const collector = await COLLECTORS[protocol](t);
        Object.assign(collector, { behaviour, faults: 2 });
        const gateway = await startTestGateway(t, {
          gateway: { tracing: { endpoint: collector.url, protocol, ratio: 1 } },
          routes: [{ match: { path: '/*' }, respond: { status: 200 }, auth: 'public' }],
        });
        const begunMs = performance.now();
        await (await fetch(`${gateway.url}/kept`)).text();
        await spansArrive(collector, 1);
        assert.equal(collector.spans[0]?.attributes['url.path'], '/kept');
        assert.ok(collector.requests >= 3, `${collector.requests} requests`);
        if (behaviour === 'busy') {
          const tookMs = performance.now() - begunMs;
          assert.ok(tookMs >= (protocol === 'grpc' ? 2_400 : 2_000), `waits as long as it says, not ${tookMs} ms`);
        }
        const text = await (await fetch(`${gateway.url}/metrics`)).text();
        assert.match(text, /^gatehouse_trace_spans_failed_total 0$/m);
      });

    it(`wait for a collector of ${protocol} that is not there yet`, async (t) => {
      const port = await freePort();
      const gateway = await startTestGateway(t, {
        gateway: { tracing: { endpoint: `http://127.0.0.1:${port}`, protocol, ratio: 1 } },
        routes: [{ match: { path: '/*' }, respond: { status: 200 }, auth: 'public' }],
      });
      await (await fetch(`${gateway.url}/early`)).text();
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      const collector = await COLLECTORS[protocol](t, null, port);
      await spansArrive(collector, 1);
      assert.equal(collector.spans[0]?.attributes['url.path'], '/early');
    });

    it(`go over TLS to a collector of ${protocol}, which knows the gateway by its certificate`, async (t) => {
      const authority = await Authority.create(t);
      const server = await authority.issue('server', ['127.0.0.1']);
      const client = await authority.issue('client', ['gateway.example']);
      const tls = { cert: server.certPem, key: server.keyPem, authority: authority.ca.certPem };
      const collector = await COLLECTORS[protocol](t, tls);
      const gateway = await startTestGateway(
        t,
        {
          gateway: { tracing: { ratio: 1 } },
          routes: [{ match: { path: '/*' }, respond: { status: 200 }, auth: 'public' }],
        },
        {
          OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
          OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: protocol,
          OTEL_EXPORTER_OTLP_CERTIFICATE: authority.ca.cert,
          OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE: client.cert,
          OTEL_EXPORTER_OTLP_CLIENT_KEY: client.key,
          OTEL_EXPORTER_OTLP_TRACES_COMPRESSION: 'gzip',
          OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: '25000',
        },
      );
      await (await fetch(`${gateway.url}/secure`)).text();
      await spansArrive(collector, 1);
      assert.equal(collector.spans[0]?.attributes['url.path'], '/secure');
      if (protocol === 'http/protobuf') assert.equal(collector.fields['content-encoding'], 'gzip');
    });
  }

  for (const protocol of PROTOCOLS)
    it(`are counted as lost where the collector says so, by ${protocol}`, async (t) => {
      const collector = await COLLECTORS[protocol](t);
      collector.behaviour = 'partial';
      const upstream = await httpUpstream(t, (_, response) => void response.end('ok'));
      const gateway = await startTestGateway(t, {
        gateway: { tracing: { endpoint: collector.url, protocol, ratio: 1, compression: 'gzip' } },
        services: { a: { instances: [{ url: upstream.url }] } },
        routes: [{ match: { path: '/*' }, service: 'a', auth: 'public' }],
      });
      const path = `/${'é'.repeat(40)}`;
      await (await fetch(gateway.url + path, { headers: { 'user-agent': 'ünusual' } })).text();
      await spansArrive(collector, 2);
      const counts = async (): Promise<(string | undefined)[]> => {
        const text = await (await fetch(`${gateway.url}/metrics/prometheus`)).text();
        return ['exported', 'failed', 'dropped'].map(
          (what) => new RegExp(`^gatehouse_trace_spans_${what}_total (\\d+)$`, 'm').exec(text)?.[1],
        );
      };
      // Scrapes are traced as well: an export more or less is not the point.
      await until(async () => Number((await counts())[1]) >= 1, 'a lost span is counted', 30_000);
      assert.equal((await counts())[2], '0');
      const server = collector.spans.find(({ name }) => name === 'GET /*');
      assert.equal(server?.attributes['url.path'], encodeURI(path));
    });
});
