import { builder } from './builder.ts';

/** For what has no other result: the union of its mutation needs an object beside the problems. */
export const Done = builder.objectRef<{ readonly id: string }>('Done').implement({
  description: 'It is done; the id is of the record that it was done to.',
  authScopes: { user: true },
  fields: (t) => ({ id: t.exposeID('id') }),
});

/** Points that a look-up of one record costs, and a change. */
export const ONE_RECORD = 5;
export const WRITE = 20;
