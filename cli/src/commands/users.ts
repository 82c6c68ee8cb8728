import { randomBytes } from 'node:crypto';
import { text } from 'node:stream/consumers';
import * as accounts from '@careflex/core/accounts';
import { type Command, Option } from 'commander';
import { examples, type OutputOptions, print, withJson } from '../output.ts';
import { commandScope, withApp } from '../platform.ts';

export function addUsers(program: Command): void {
  const users = program.command('users').description('users of the staff');
  withJson(users.command('create'))
    .description('make a user; patients register themselves')
    .requiredOption('--email <address>')
    .requiredOption('--name <name>', 'as others see it')
    .addOption(new Option('--role <role>').choices(['admin', 'agent', 'auditor']).makeOptionMandatory())
    .option('--may-override', 'an agent who may book over a conflict')
    .option('--password-stdin', 'read the password from standard input; without it one is made and shown once')
    .addHelpText(
      'after',
      examples(
        'careflex users create --email ada@clinic.test --name "Ada Byron" --role admin',
        'careflex users create --email … --name … --role agent --password-stdin < password.txt',
      ),
    )
    .action(createUser);
}

interface Options extends OutputOptions {
  readonly email: string;
  readonly name: string;
  readonly role: 'admin' | 'agent' | 'auditor';
  readonly mayOverride?: true;
  readonly passwordStdin?: true;
}

const MADE_PASSWORD_BYTES = 18;

async function createUser({ email, name, role, mayOverride, passwordStdin, ...output }: Options): Promise<void> {
  const given = passwordStdin ? (await text(process.stdin)).replace(/\r?\n$/, '') : null;
  const password = given ?? randomBytes(MADE_PASSWORD_BYTES).toString('base64url');
  const user = await withApp((app) =>
    accounts.createUser(commandScope(app), {
      email,
      displayName: name,
      role,
      password,
      ...(mayOverride ? { mayOverride } : {}),
    }),
  );
  const shown = given === null ? { password } : {};
  const lines = [`Made ${role} ${user.id}.`, ...(given === null ? [`Password, shown this once: ${password}`] : [])];
  print(output, { id: user.id, role, ...shown }, lines);
}
