/**
 * Does what a Dockerfile says in a folder in place of the image: COPY brings what `.dockerignore` lets in, the project
 * is compiled, other commands must be ones that change nothing here. What it does not know fails.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { glob } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import dockerignore from '@balena/dockerignore';
import { DockerfileParser, type Instruction } from 'dockerfile-ast';

export const CHECKOUT = fileURLToPath(new URL('../../', import.meta.url));

/** Said by a RUN and of no effect on what is in the image, or done by the base image's user. */
const PLAIN = /^(?:npm prune|mkdir|chown|ln) /;

export interface Stage {
  readonly name: string;
  readonly root: string;
  workdir: string;
  user: string;
  entrypoint: readonly string[];
  cmd: readonly string[];
  healthcheck: readonly string[];
  readonly env: Record<string, string>;
  readonly volumes: string[];
}

const words = (instruction: Instruction): string[] => instruction.getArguments().map((each) => each.getValue());

/** A list in JSON form, as in CMD ["node", ...]. */
function listed(instruction: Instruction): readonly string[] {
  const text = instruction.getArgumentsContent() ?? '';
  return JSON.parse(text.slice(text.indexOf('['), text.lastIndexOf(']') + 1)) as string[];
}

export class ImageBuild {
  readonly stages = new Map<string, Stage>();
  readonly #filter: (path: string) => boolean;
  last: Stage | undefined;

  readonly path: string;
  readonly #folder: string;

  /** `path` of the Dockerfile in the project; stages become folders below `folder`. */
  constructor(path: string, folder: string) {
    this.path = path;
    this.#folder = folder;
    const rules = dockerignore.default().add(readFileSync(join(CHECKOUT, `${path}.dockerignore`), 'utf8'));
    this.#filter = rules.createFilter();
  }

  async run(): Promise<Stage> {
    for (const instruction of DockerfileParser.parse(readFileSync(join(CHECKOUT, this.path), 'utf8')).getInstructions())
      await this.#step(instruction);
    assert.ok(this.last !== undefined);
    return this.last;
  }

  async #step(instruction: Instruction): Promise<void> {
    const keyword = instruction.getKeyword();
    const args = words(instruction);
    if (keyword === 'FROM') {
      const [image = '', , name = 'last'] = args;
      this.last = this.#from(image, name);
      this.stages.set(name, this.last);
      return;
    }
    const stage = this.last;
    assert.ok(stage !== undefined);
    switch (keyword) {
      case 'WORKDIR':
        stage.workdir = args[0]!;
        mkdirSync(join(stage.root, stage.workdir), { recursive: true });
        return;
      case 'COPY':
        return await this.#copy(stage, args, /--from=(\S+)/.exec(instruction.toString())?.[1]);
      case 'RUN':
        return await this.#command(stage, instruction.getArgumentsContent() ?? '');
      case 'USER':
        stage.user = args[0]!;
        return;
      case 'ENV':
        for (const [, key = '', value = ''] of (instruction.getArgumentsContent() ?? '').matchAll(/(\w+)=(\S+)/g))
          stage.env[key] = value;
        return;
      case 'VOLUME':
        stage.volumes.push(...args);
        return;
      case 'ENTRYPOINT':
        stage.entrypoint = listed(instruction);
        return;
      case 'CMD':
        stage.cmd = listed(instruction);
        return;
      case 'HEALTHCHECK':
        stage.healthcheck = listed(instruction);
        return;
      case 'EXPOSE':
        return;
      default:
        assert.fail(`${this.path}: this test knows no ${keyword}`);
    }
  }

  #from(image: string, name: string): Stage {
    const before = this.stages.get(image);
    const root = join(this.#folder, name);
    if (before === undefined) {
      assert.match(image, /^[\w.-]+:\d[\w.-]*$/, `${image} has no version`);
      mkdirSync(root, { recursive: true });
      const nothing = { workdir: '/', user: '', entrypoint: [], cmd: [], healthcheck: [], env: {}, volumes: [] };
      return { name, root, ...nothing };
    }
    cpSync(before.root, root, { recursive: true, verbatimSymlinks: true });
    return { ...before, name, root, env: { ...before.env }, volumes: [...before.volumes] };
  }

  async #copy(stage: Stage, args: readonly string[], from: string | undefined): Promise<void> {
    const names = args.filter((each) => !each.startsWith('--'));
    const target = names.pop()!;
    const place = target.startsWith('/') ? join(stage.root, target) : join(stage.root, stage.workdir, target);
    for (const source of names) {
      if (from !== undefined) {
        const there = this.stages.get(from);
        assert.ok(there !== undefined, `${this.path}: no stage ${from}`);
        cpSync(join(there.root, source), place, { recursive: true, verbatimSymlinks: true });
        continue;
      }
      const found: string[] = [];
      for await (const each of glob(source, { cwd: CHECKOUT })) found.push(each);
      assert.ok(found.length > 0, `${this.path}: there is no ${source}`);
      for (const each of found) {
        const isFolder = statSync(join(CHECKOUT, each)).isDirectory();
        const to = !isFolder && target.endsWith('/') ? join(place, basename(each)) : place;
        mkdirSync(dirname(to), { recursive: true });
        let copied = 0;
        cpSync(join(CHECKOUT, each), to, {
          recursive: true,
          filter: (path) => {
            if (statSync(path).isDirectory()) return true;
            const isIn = this.#filter(path.slice(CHECKOUT.length));
            if (isIn) copied++;
            return isIn;
          },
        });
        assert.ok(copied > 0, `${this.path}: .dockerignore keeps ${each} out`);
      }
    }
  }

  async #command(stage: Stage, line: string): Promise<void> {
    const cwd = join(stage.root, stage.workdir);
    for (const command of line.split('&&').map((each) => each.trim())) {
      if (command === 'npm ci') symlinkSync(join(CHECKOUT, 'node_modules'), join(cwd, 'node_modules'));
      else if (command === 'npm run build') await build(cwd);
      else assert.match(command, PLAIN, `${this.path}: this test cannot run ${command}`);
    }
  }
}

/** What was compiled first; sources are the same for every image. */
let compiled: string | undefined;

/** What `npm run build` does, but for types, which `npm run check` has checked and which take most of its time. */
async function build(cwd: string): Promise<void> {
  if (compiled !== undefined) {
    cpSync(compiled, join(cwd, 'dist'), { recursive: true });
    return;
  }
  const { scripts } = JSON.parse(readFileSync(join(cwd, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  assert.equal(scripts['build'], 'tsc -p tsconfig.build.json && node tools/bundle.ts && node tools/copy-pages.ts');
  const options = { cwd, env: { ...process.env, NODE_OPTIONS: '' } };
  await promisify(execFile)('npm', ['run', '--silent', 'compile'], options);
  await promisify(execFile)(process.execPath, ['tools/copy-pages.ts'], options);
  compiled = join(cwd, 'dist');
}

/** An argument that is a path in the image, as it is called here. */
export function here(stage: Stage, argument: string): string {
  if (argument.startsWith('/')) return join(stage.root, argument);
  return argument;
}
