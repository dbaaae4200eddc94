/**
 * The images, without a container engine: each Dockerfile is right by its grammar, what it does is done in folders, and
 * what the last stage holds is started by the ENTRYPOINT and CMD that it names. So a file that is missing in the image
 * fails here; that the base image exists and how the kernel isolates the container is not shown.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { glob } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { validate } from 'dockerfile-utils';
import { CHECKOUT, here, ImageBuild } from './image-build.ts';

const FOLDER = mkdtempSync(join(tmpdir(), 'gh-images-'));
after(() => rmSync(FOLDER, { recursive: true, force: true }));

const DOCKERFILES = ['deploy/docker/Dockerfile', 'deploy/enhanced/Dockerfile', 'deploy/storyverse/Dockerfile'] as const;

for (const path of DOCKERFILES) {
  describe(path, { timeout: 240_000 }, () => {
    it('is right by the grammar of Dockerfiles', () => {
      const problems = validate(readFileSync(join(CHECKOUT, path), 'utf8'));
      assert.deepEqual(
        problems.map(({ range, message }) => `${range.start.line + 1}: ${message}`),
        [],
      );
    });

    it('builds, and holds what it starts, for an ordinary user', async () => {
      const build = new ImageBuild(path, join(FOLDER, path));
      await build.run();
      for (const stage of build.stages.values()) {
        const [program, script = ''] = [...stage.entrypoint, ...stage.cmd];
        if (program !== 'node') continue;
        assert.notEqual(stage.user, '', `${stage.name} runs as root`);
        const file = script.startsWith('/') ? script : join(stage.workdir, script);
        assert.ok(statSync(join(stage.root, file)).isFile(), file);
        // The console and the API pages are files beside the code: they were forgotten once.
        if (!file.endsWith('gatehouse.js')) continue;
        for (const part of ['console/index.html', 'dist/vendor/swagger-ui-dist/swagger-ui.css', 'dist/index.js'])
          assert.ok(statSync(join(stage.root, stage.workdir, part)).isFile(), part);
        assert.deepEqual(
          await Array.fromAsync(glob('dist/**/*.test.js', { cwd: join(stage.root, stage.workdir) })),
          [],
        );
      }
    });
  });
}

describe('the image of the gateway', { timeout: 240_000 }, () => {
  it('serves, is healthy by its own check and not after the end, and writes to its volume alone', async (t) => {
    const stage = await new ImageBuild(DOCKERFILES[0], join(FOLDER, 'image')).run();
    const { root } = stage;
    assert.deepEqual(stage.volumes, ['/data']);
    assert.equal(stage.user, '1000:1000');
    // What is a volume there is a folder here, which the configuration must then call by its name here.
    const data = join(root, 'data');
    mkdirSync(data, { recursive: true });
    const file = join(root, 'etc/gatehouse/gatehouse.yaml');
    const configured = readFileSync(file, 'utf8');
    assert.match(configured, /^ {2}dataDir: \/data$/m);
    writeFileSync(file, configured.replace('dataDir: /data', `dataDir: ${data}`));
    const command = [...stage.entrypoint, ...stage.cmd].map((each) => here(stage, each));
    const env = { PATH: process.env['PATH'] ?? '', ...stage.env, PORT: '0', HOST: '127.0.0.1', WORKERS: '1' };
    const gateway: ChildProcess = spawn(process.execPath, [...command.slice(1), '--json'], {
      cwd: join(root, stage.workdir),
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.after(() => gateway.kill('SIGKILL'));
    const { value } = await createInterface({ input: gateway.stdout! })[Symbol.asyncIterator]().next();
    const { addresses } = JSON.parse(String(value)) as { addresses: { port: number }[] };
    const response = await fetch(`http://127.0.0.1:${addresses[0]?.port}/`);
    assert.match(await response.text(), /^Gatehouse runs\./);
    const check = (): Promise<unknown> =>
      promisify(execFile)(
        process.execPath,
        stage.healthcheck.slice(1).map((each) => here(stage, each)),
        { env },
      );
    await check();
    const exited = once(gateway, 'exit');
    gateway.kill('SIGTERM');
    assert.deepEqual(await exited, [0, null]);
    await assert.rejects(check, (error: { code: number }) => error.code === 3);
    assert.deepEqual(await Array.fromAsync(glob('*', { cwd: root })).then((found) => found.sort()), [
      'app',
      'data',
      'etc',
    ]);
  });
});
